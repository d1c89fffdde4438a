# Runs in the container of a machine, as what an engine starts there for a command: carries it into the machine
# on a line that is free, and its inputs and outputs with it; `guest.pl` is at the other end and says how.
# Ends as the command ends, with its exit code.
#
#   reach [--tty] [--pristine] USER FOLDER ARGUMENT ...
#   reach --clock        sets the machine's clock
use strict;
use warnings;
use Fcntl qw(:DEFAULT :flock);
use Socket;

my $FOLDER = '/run/lab';
my $PATIENCE = 40;    # seconds for a machine to start, and for a line to be free
my $ANSWER = 1;       # seconds for an answer of a machine that is up; another line is tried then
my $PIECE = 32768;
my $CLOCK_GETTIME = 228;    # of x86_64
my ($GWINSZ, $GETS, $SETS) = (0x5413, 0x5401, 0x5402);

my $way = 'plain';
while (@ARGV && $ARGV[0] =~ /^--(tty|pristine|clock)$/) { $way = $1; shift @ARGV }
my ($user, $folder, @command) = @ARGV;
my %given = %ENV;
delete @given{qw(HOME HOSTNAME)};
my @variables = map { "$_=$given{$_}" } sort keys %given;
$SIG{PIPE} = 'IGNORE';

my $kept;    # the lock of our line
my $since = now() / 1e9;
my ($line, $held) = open_line();
if ($way eq 'clock') {
    carry();
    exit !send_time($line);
}
my $before;
if ($way eq 'tty') {
    ioctl STDIN, $GETS, $before = "\0" x 64;
    my @modes = unpack 'I4', $before;    # termios(3): what cfmakeraw clears
    my $raw = pack 'I4', $modes[0] & ~0x5eb, $modes[1] & ~1, $modes[2] & ~0x130 | 0x30, $modes[3] & ~0x804b;
    ioctl STDIN, $SETS, $raw . substr $before, 16;
    tell_size();
    $SIG{WINCH} = \&tell_size;
}
my $code = carry();
ioctl STDIN, $SETS, $before if defined $before;
exit $code;

# Take a line that nobody has, and begin the command on it.
sub open_line {
    my ($number, $free) = (0, 0);
    while (now() / 1e9 - $since < $PATIENCE) {
        for my $path (glob "$FOLDER/[0-9]*.line") {
            open my $lock, '>', "$path.lock" or next;
            flock $lock, LOCK_EX | LOCK_NB or next;
            $free = 1;
            socket my $line, PF_UNIX, SOCK_STREAM, 0 or die "socket: $!";
            connect $line, pack_sockaddr_un($path) or next;
            my $mark = sprintf '%d.%d.%d', $$, ++$number, rand 1e9;
            my @asked = ($mark, $way eq 'clock' ? 'plain' : $way, $user // '', $folder // '', scalar @variables,
                @variables, $way eq 'clock' ? 'true' : @command);
            put($line, 'O', join "\0", @asked) or next;
            my $held = heard($line, $mark) // next;
            put($line, 'G', '') or next;
            fcntl $lock, F_SETFD, 0;
            $kept = $lock;
            return ($line, $held);
        }
        select undef, undef, undef, 0.1;
    }
    print STDERR $free ? "the machine does not answer\n" : "all lines into the machine are taken\n";
    exit 125;
}

# Wait until the machine has heard it: what is left of an earlier command is not for us.
sub heard {
    my ($line, $mark) = @_;
    my $held = '';
    my $sign = pack 'aN/a*', 'H', $mark;
    my $until = now() / 1e9 + $ANSWER;
    while ((my $left = $until - now() / 1e9) > 0) {
        vec(my $read = '', fileno $line, 1) = 1;
        select($read, undef, undef, $left) > 0 or last;
        sysread $line, $held, $PIECE, length $held or last;
        my $at = index $held, $sign;
        return substr $held, $at + length $sign if $at >= 0;
    }
    return;
}

# Carry everything, both ways, until the command has ended.
sub carry {
    my ($open, $waiting, $piece) = (1, '', '');
    while (1) {
        while (length $held >= 5) {
            my ($kind, $length) = unpack 'aN', $held;
            last if length $held < 5 + $length;
            my $said = substr substr($held, 0, 5 + $length, ''), 5;
            return $said if $kind eq 'X';
            write_all($kind eq '2' ? \*STDERR : \*STDOUT, $said) or return 141;
        }
        my ($read, $write) = ('', '');
        vec($read, fileno $line, 1) = 1;
        vec($read, fileno STDIN, 1) = 1 if $open && !length $waiting;
        vec($write, fileno $line, 1) = 1 if length $waiting;
        select($read, $write, undef, undef) > 0 or next;
        if (vec $read, fileno $line, 1) {
            if (!sysread $line, $held, $PIECE, length $held) {
                print STDERR "the machine is gone\n";
                return 137;
            }
        }
        if (length $waiting && vec $write, fileno $line, 1) {
            my $taken = send $line, $waiting, MSG_DONTWAIT;
            substr $waiting, 0, $taken, '' if defined $taken;
        }
        if ($open && vec $read, fileno STDIN, 1) {
            my $got = sysread STDIN, $piece, $PIECE;
            $open = 0 if !$got;
            $waiting .= $got ? pack('aN/a*', 'I', $piece) : pack 'aN', 'E', 0;
        }
    }
}

sub put {
    my ($line, $kind, $said) = @_;
    return write_all($line, pack 'aN/a*', $kind, $said);
}

sub write_all {
    my ($to, $left) = @_;
    while (length $left) {
        my $written = syswrite $to, $left;
        return 0 unless defined $written;
        substr $left, 0, $written, '';
    }
    return 1;
}

sub send_time {
    my ($line) = @_;
    return put($line, 'T', now());
}

# The time in nanoseconds since 1970: perl-base, which every Debian has, is without Time::HiRes.
sub now {
    my $moment = pack 'qq', 0, 0;
    syscall $CLOCK_GETTIME, 0, $moment;
    my ($seconds, $nano) = unpack 'qq', $moment;
    return $seconds * 1_000_000_000 + $nano;
}

sub tell_size {
    my $size = "\0" x 8;
    ioctl STDIN, $GWINSZ, $size;
    my ($rows, $columns) = unpack 'S2', $size;
    put($line, 'W', "$rows $columns") if $rows;
}
