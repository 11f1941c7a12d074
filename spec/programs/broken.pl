# Programs that break the port protocol, each in its own way: perl broken.pl WAY [1|2|4] [LITTLE|COUNTED]
# The way `fine` breaks nothing. LITTLE and COUNTED are other forms of the length.
use strict;
use warnings;

my ($way, $width, $form) = (@ARGV, 4, '');
$form //= '';
my $is_little = $way eq 'little-endian' || $form eq 'LITTLE';
my $counts = $way eq 'length-counts-prefix' || $form eq 'COUNTED' ? $width : 0;
binmode $_ for *STDIN, *STDOUT;
$| = 1 if $way ne 'no-flush';
my @later;

sub prefix {
  my $bytes = substr pack('N', shift), 4 - $width;
  return $is_little ? reverse $bytes : $bytes;
}

sub take {
  my $count = shift;
  my $taken = '';
  while (length $taken < $count) {
    sysread(STDIN, $taken, $count - length $taken, length $taken) or last;
    last if $way eq 'short-read';
  }
  return $taken;
}

sub answer {
  my $message = shift;
  if ($way eq 'text-mode') {
    require Encode;
    $message = Encode::encode('UTF-8', Encode::decode('UTF-8', $message));
  }
  print 'got ', length $message, " bytes\n" if $way eq 'print-on-stdout';
  $message .= "\n" if $way eq 'adds-newline';
  # one more, as for a newline or a NUL that is not there
  my $length = length($message) + $counts + ($way eq 'wrong-length' ? 1 : 0);
  my $frame = ($way eq 'no-prefix' ? '' : prefix($length)) . $message;
  $frame = prefix(8) . "new task$frame" if $way eq 'stray-frame';
  print $way eq 'extra-reply' ? $frame x 2 : $frame;
}

if ($way eq 'drips' || $way eq 'drips-frames') {
  while (1) {
    syswrite STDOUT, $way eq 'drips' ? "working\n" : prefix(4) . 'beat';
    select undef, undef, undef, 0.02;
  }
}
syswrite STDOUT, prefix(5) . 'ready' if $way eq 'speaks-first';
syswrite STDOUT, "worker 1.0 is ready\n" if $way eq 'banner';
if ($way eq 'line-based') {
  while (<STDIN>) { chomp; answer($_) }
  exit;
}
if ($way eq 'one-read-one-message') {
  answer(substr $_, $width) while sysread STDIN, $_, 1 << 20;
  exit;
}
for (my $number = 1; ; $number++) {
  my $header = take($width);
  if ($header eq '') {
    sleep 60 if $way eq 'no-exit';
    kill 'KILL', @later if $way eq 'drops-at-end';
    wait for @later;
    exit($way eq 'fails-at-end' ? 1 : 0);
  }
  $header = reverse $header if $is_little;
  my $length = unpack('N', ("\0" x (4 - $width)) . $header) - $counts;
  $length -= 256**$width if $way eq 'signed-length' && $length >= 256**$width / 2;
  print(STDERR "a message of $length bytes\n"), exit 1 if $length < 0;
  $length++ if $way eq 'reads-too-much';
  exit if $way eq 'empty-message' && $length == 0;
  my $message = take($length);
  print(STDERR "message too long\n"), exit 1 if $way eq 'size-limit' && $length > 65535;
  if ($way eq 'drops-at-end' || ($way eq 'out-of-order' && $number % 2)) {
    my $pid = fork;
    if (!$pid) {
      select undef, undef, undef, 0.1;
      answer($message);
      exit;
    }
    push @later, $pid;
  } else {
    answer($message);
  }
  exit if $way eq 'stops-after-first';
}
