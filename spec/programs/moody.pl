# Answers "=MESSAGE", unless the message says what else to do: die, hang, "sleep MS", "wait FILE" until that is there,
# "big BYTES", "kill-host".
use strict;
use warnings;

binmode $_ for *STDIN, *STDOUT;
$| = 1;
my $host = getppid;

# Not longer than its host lives: nobody ends the programs of one that was killed.
sub hang {
    select undef, undef, undef, 0.05 while getppid == $host;
    exit;
}

# A byte of FILE.runs for each time.
sub wait_for {
    my ($file) = @_;
    open my $runs, '>>', "$file.runs" or exit 1;
    print $runs '.';
    close $runs;
    select undef, undef, undef, 0.005 while !-e $file && getppid == $host;
}

while (read STDIN, my $header, 4) {
    read STDIN, my $message, unpack 'N', $header;
    my ($word, $number) = split ' ', $message;
    $word //= '';
    exit 3 if $word eq 'die';
    hang() if $word eq 'hang';
    select undef, undef, undef, $number / 1000 if $word eq 'sleep';
    wait_for($number) if $word eq 'wait';
    if ($word eq 'kill-host') {
        kill 9, $host;
        hang();
    }
    my $reply = '=' . ($word eq 'big' ? 'x' x $number : $message);
    print pack('N', length $reply), $reply;
}
