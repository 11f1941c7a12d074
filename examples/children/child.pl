# A port program in Perl: new Port('perl', ['child.pl'])
use strict;
use warnings;

# Frames keep the real stdout. Whatever prints to stdout from now on goes to stderr.
open my $frames, '>&', \*STDOUT or die "cannot keep stdout: $!";
open STDOUT, '>&', \*STDERR or die "cannot turn prints away: $!";
binmode $_ for *STDIN, $frames;    # bytes, not text
$frames->autoflush(1);             # or the host waits forever

sub answer {
    my ($message) = @_;
    return $message;               # your work goes here
}

# `read` waits for all the bytes that it is asked for; none at all is the end of the input.
while (my $got = read STDIN, my $header, 4) {
    my $length = $got == 4 ? unpack 'N', $header : -1;
    die "the input ended inside a frame\n" if $length < 0 || read(STDIN, my $message, $length) != $length;
    my $reply = answer($message);
    print {$frames} pack('N', length $reply), $reply;
}
