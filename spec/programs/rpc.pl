# Speaks JSON-RPC by lines, and does what each request's method says.
use strict;
use warnings;
use JSON::PP ();

$| = 1;
my $json = JSON::PP->new->utf8->allow_nonref;
my @held;

sub raw {
  print $_[0];
}

sub say_it {
  raw($json->encode({ jsonrpc => '2.0', @_ }) . "\n");
}

# an object without a member says nothing of it, and one that has it says null
sub result_of {
  my ($answer) = @_;
  return exists $answer->{result} ? $answer->{result} : $answer->{error};
}

sub wait_ms {
  select undef, undef, undef, $_[0] / 1000;
}

my $mode = $ARGV[0] // '';
if ($mode eq 'greets') {
  # a greeting, a log, an event and a call in one write
  raw(qq(hello\n{"jsonrpc":"2.0","method":"log","params":"up"}\nnot json\n{"jsonrpc":"2.0","id":"c0","method":"who"}\n));
}
if ($mode eq 'dies') {
  raw("hello\n");
  exit 4;
}

while (defined(my $line = <STDIN>)) {
  my $message = $json->decode($line);
  my ($method, $id, $params) = @$message{qw(method id params)};
  if (!defined $method) {
    say_it(method => 'answered', params => { id => $id, result => $message->{result}, error => $message->{error} });
  } elsif (!defined $id) {
    say_it(method => 'noted', params => { method => $method, params => $params });
  } elsif ($method eq 'hold') {
    push @held, [$id, $params];
  } elsif ($method eq 'release') {
    say_it(id => $_->[0], result => $_->[1]) for reverse @held;
    @held = ();
    say_it(id => $id, result => $params);
  } elsif ($method eq 'never') {
  } elsif ($method eq 'error') {
    say_it(id => $id, error => { code => -7, message => 'no', data => $params });
  } elsif ($method eq 'call') {
    say_it(id => "c$id", method => 'ask', params => $params);
    # the result comes when the answer does
    my $answer = $json->decode(scalar <STDIN>);
    while (($answer->{id} // '') ne "c$id") {
      say_it(id => $answer->{id}, result => $answer->{params}) if ($answer->{method} // '') eq 'echo';
      $answer = $json->decode(scalar <STDIN>);
    }
    say_it(id => $id, result => result_of($answer));
  } elsif ($method eq 'calls') {
    raw(join '', map { qq({"jsonrpc":"2.0","id":"m$_","method":"ask","params":$_}\n) } 0 .. $params - 1);
    say_it(id => $id, result => $params);
  } elsif ($method eq 'progress') {
    my $token = $params->{_meta}{progressToken};
    if (!defined $token) {
      say_it(id => $id, result => 'no token');
    } else {
      for my $n (0 .. $params->{times} - 1) {
        say_it(method => 'notifications/progress', params => { progressToken => $token, progress => $n });
        wait_ms($params->{everyMs} // 0);
      }
      say_it(id => $id, result => 'done');
      say_it(method => 'notifications/progress', params => { progressToken => $token, progress => 'late' });
    }
  } elsif ($method eq 'twice') {
    raw(join '', map { qq({"jsonrpc":"2.0","id":$id,"result":$_}\n) } 1, 2);
  } elsif ($method eq 'stranger') {
    say_it(id => 999_999, result => 0);
    say_it(id => $id, result => 0);
  } elsif ($method eq 'noise') {
    raw("Warning: this is no JSON\n");
    say_it(id => $id, result => $params);
  } elsif ($method eq 'event then reply') {
    raw(qq({"jsonrpc":"2.0","id":$id,"result":1}\n{"jsonrpc":"2.0","method":"ready"}\n));
  } elsif ($method eq 'busy') {
    wait_ms($params);
    say_it(id => $id, result => $params);
  } elsif ($method eq 'die') {
    exit $params;
  } else {
    say_it(id => $id, result => $params);
  }
}
sleep 60 if $mode eq 'stays';
