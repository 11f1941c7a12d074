# Speaks of everything that a protocol knows: `converse.pl FRAMING ORDER`, where FRAMING is lines, contentLength or prefix, and
# ORDER is any (replies name their request) or given (they come in the order of the requests). It greets by "hello".
# Messages to it:
#   ask ID WANTS NONCE VERB   ID is - where the order is given; WANTS is 1 where progress is wanted
#   note N                    not answered
#   answer CALL TEXT          to a call of its own
#   cancel ID
# It says reply, error and progress (each with ID and NONCE), event, call and noise. What ought not to be is said by
# `event fault ...`.
use strict;
use warnings;
use IO::Handle;
my ($framing, $order) = @ARGV;
my $is_any = $order eq 'any';
binmode STDIN;
binmode STDOUT;

my $input = '';
my @held;
my (%asked, %cancelled, %calls);
my ($last_note, $last_call) = (-1, 0);

sub frame {
    my ($text) = @_;
    return "$text\n" if $framing eq 'lines';
    return 'Content-Length: ' . length($text) . "\r\n\r\n$text" if $framing eq 'contentLength';
    return pack 'N/a*', $text;
}

# The next message of the input, where there is one.
sub message {
    if ($framing eq 'lines') {
        return $input =~ s/^(.*)\n// ? $1 : undef;
    }
    my ($head, $length);
    if ($framing eq 'contentLength') {
        $input =~ /^Content-Length: (\d+)\r\n\r\n/ or return undef;
        ($head, $length) = ($+[0], $1);
    } else {
        return undef if length $input < 4;
        ($head, $length) = (4, unpack 'N', $input);
    }
    return undef if length $input < $head + $length;
    my $text = substr $input, $head, $length;
    substr($input, 0, $head + $length) = '';
    return $text;
}

# Leaves with the next flush, so that several of them come as one chunk.
sub tell_host {
    print frame(join ' ', @_);
}

sub answer {
    my ($request) = @_;
    my $what = $request->{verb} eq 'error' ? 'error' : 'reply';
    tell_host($what, $request->{id}, scalar reverse $request->{nonce});
}

sub died {
    my $how = int rand 5;
    STDOUT->flush if rand() < 0.5;
    exit 7 if $how == 0;
    exit 0 if $how == 1;
    if ($how == 2) {
        my $half = frame('reply 1 half of it');
        syswrite STDOUT, substr $half, 0, length($half) / 2;
    } elsif ($how == 3 && $framing ne 'lines') {
        syswrite STDOUT, $framing eq 'prefix' ? "\xff\xff\xff\xff" : "nothing of the kind\r\n\r\n";
    }
    kill KILL => $$;
    sleep 10;
}

sub take {
    my ($verb, @rest) = split / /, $_[0];
    if ($verb eq 'ask') {
        my ($id, $wants, $nonce, $what, $times) = @rest;
        tell_host('event fault: asked twice for', $id) if $is_any && $asked{$id}++;
        tell_host('event seen', $nonce) if $what ne 'seed';
        push @held, { id => $id, wants => $wants, nonce => $nonce, verb => $what, times => $times || 0 };
    } elsif ($verb eq 'note') {
        tell_host('event fault: note', $rest[0], 'after', $last_note) if $rest[0] <= $last_note;
        $last_note = $rest[0];
        tell_host('event noted', $last_note);
    } elsif ($verb eq 'answer') {
        my $request = delete $calls{ $rest[0] };
        if (!$request) {
            tell_host('event fault: an answer to no call', @rest);
        } elsif ($request ne 'cancelled') {
            tell_host('event fault: answer', @rest) if $rest[1] ne reverse $request->{nonce};
            shift @held if !$is_any;
            answer($request);
        }
    } elsif ($verb eq 'cancel') {
        my ($id) = @rest;
        tell_host('event fault: cancelled what was never asked:', $id) if !$asked{$id};
        tell_host('event fault: cancelled twice:', $id) if $cancelled{$id}++;
        return if rand() < 0.5;
        @held = grep { $_->{id} ne $id } @held;
        for my $call (keys %calls) {
            $calls{$call} = 'cancelled' if ref $calls{$call} && $calls{$call}{id} eq $id;
        }
    } else {
        tell_host('event fault: told', $_[0]);
    }
}

# One step of one of those that wait.
sub work {
    my $at = $is_any ? int rand @held : 0;
    my $request = $held[$at];
    my ($verb, $id, $nonce) = @$request{qw(verb id nonce)};
    if ($verb eq 'progress' && $request->{wants} && $request->{times}-- > 0) {
        tell_host('progress', $id, $nonce, $request->{times});
        return;
    }
    if ($verb eq 'call' || $verb eq 'callback' || $verb eq 'callthrow') {
        return if $request->{call};
        $request->{call} = ++$last_call;
        $calls{$last_call} = $request;
        tell_host('call', $last_call, $nonce, $verb);
        splice @held, $at, 1 if $is_any;
        return;
    }
    # in the order of the requests nothing goes past one that is not answered
    return if $verb eq 'never' && !$is_any;
    splice @held, $at, 1;
    return if $verb eq 'never';
    died() if $verb eq 'die';
    srand $request->{times} if $verb eq 'seed';
    tell_host('event about', $nonce) if $verb eq 'event';
    tell_host('noise') if $verb eq 'noise';
    tell_host('call', 0, $nonce, 'callnone') if $verb eq 'callnone';
    tell_host('reply', $is_any ? 999_999_999 : '-', 'nobody') if $verb eq 'stranger';
    answer($request);
    answer($request) if $verb eq 'twice';
}

print frame('hello');
STDOUT->flush;
while (1) {
    my $bits = '';
    vec($bits, fileno(STDIN), 1) = 1;
    my $is_ready = select $bits, undef, undef, @held ? int(rand 3) / 1000 : undef;
    if ($is_ready > 0) {
        my $bytes = sysread STDIN, $input, 65536, length $input;
        exit 0 if !$bytes;
        while (defined(my $message = message())) { take($message) }
    }
    for (1 .. 1 + int rand 4) { work() if @held }
    STDOUT->flush;
}
