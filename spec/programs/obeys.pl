# Answers frames of {packet, 4}; each message says what is done with it.
#   echo TEXT        answers TEXT
#   slowly MS TEXT   answers TEXT, MS milliseconds later
#   drip MS TEXT     answers TEXT, header and all, byte by byte, MS milliseconds apart
#   hold BYTES       keeps this much more memory, and answers that number
#   pid              answers the number of this process
#   raw HEX          puts these bytes on stdout, whatever they are
#   last HEX CODE    the same, then exits with CODE at once
#   exit CODE        says so on stderr and exits
#   kill NAME        ends itself by a signal
#   never            neither answers nor reads any more
use strict;
use warnings;
binmode STDIN;
binmode STDOUT;
$| = 1;

sub take {
    my ($bytes) = @_;
    my $got = '';
    while (length($got) < $bytes) {
        my $more = sysread(STDIN, $got, $bytes - length($got), length($got));
        exit 0 if !$more;
    }
    return $got;
}

sub pause {
    my ($ms) = @_;
    select undef, undef, undef, $ms / 1000;
}

my @held;
while (1) {
    my $message = take(unpack 'N', take(4));
    my ($verb, $rest) = $message =~ /^(\w+) ?(.*)$/s;
    my $ms = 0;
    ($ms, $rest) = $rest =~ /^(\d+) (.*)$/s if $verb eq 'slowly' || $verb eq 'drip';
    pause($ms) if $verb eq 'slowly';
    $rest = $$ if $verb eq 'pid';
    push @held, 'x' x $rest if $verb eq 'hold';
    if ($verb eq 'raw' || $verb eq 'last') {
        my ($hex, $code) = split / /, $rest;
        print pack 'H*', $hex;
        exit $code if $verb eq 'last';
    } elsif ($verb eq 'exit') {
        print STDERR "going with $rest\n";
        exit $rest;
    } elsif ($verb eq 'kill') {
        kill $rest => $$;
        sleep 10;
    } elsif ($verb eq 'drip') {
        for my $byte (split //, pack('N', length $rest) . $rest) {
            print $byte;
            pause($ms);
        }
    } elsif ($verb eq 'never') {
        sleep 60;
    } else {
        print pack('N', length $rest), $rest;
    }
}
