# Echoes frames: perl echo.pl [1|2|4]
use strict;
use warnings;

my $width = shift // 4;
my $format = { 1 => 'C', 2 => 'n', 4 => 'N' }->{$width};
binmode $_ for *STDIN, *STDOUT;
$| = 1;
while (read STDIN, my $header, $width) {
    read STDIN, my $message, unpack $format, $header;
    print pack($format, length $message), $message;
}
