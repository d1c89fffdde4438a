# Runs inside a node: carries standard input to a port of its loopback address, and back.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{PIPE} = 'IGNORE';
my $line = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ARGV[0], Proto => 'tcp')
    or die "nothing listens on $ARGV[0]\n";
$line->autoflush(1);

sub carry {
    my ($from, $to) = @_;
    my $chunk;
    while (sysread($from, $chunk, 65536)) {
        my $done = 0;
        while ($done < length $chunk) {
            my $wrote = syswrite($to, $chunk, length($chunk) - $done, $done);
            return unless defined $wrote;
            $done += $wrote;
        }
    }
}

my $child = fork();
die "cannot fork: $!\n" unless defined $child;
if ($child == 0) {
    carry(\*STDIN, $line);
    shutdown($line, 1);
    exit 0;
}
carry($line, \*STDOUT);
kill 'TERM', $child;
waitpid $child, 0;
