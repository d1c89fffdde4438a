# Runs in a machine: becomes the first process of the node, and leaves behind who does in the machine what an
# engine does in a container. He answers on the machine's lines (virtio-serial ports, which root alone may open):
# on each, one command at a time, whose inputs and outputs come and go in frames. Nobody needs a network, an
# account or a key for that, and no log of the node has a line of it.
#
# A frame is a letter, the length of what follows in four bytes, and that. To the machine:
#   O  a command: mark, way (plain, tty, pristine), user, folder, how many variables, those, and the arguments,
#      with NUL between them;   G  it may begin;   I  input;   E  end of the input
#   W  "rows columns" of the terminal;   T  the time in nanoseconds since 1970, by which the clock is set
# From it:  H  it was heard: the mark;   1, 2  outputs;   X  the exit code
#
# Who hears nothing for a second asks on another line. So a command begins only when he who asked has heard that
# it was heard: none runs twice.
#
# `pristine`: with the disk as it was baked for its root, and the node's own files below /proc/1/root.
use strict;
use warnings;
use Errno qw(EINTR EAGAIN);
use Fcntl;
use POSIX ();

my ($NEWNS, $PRIVATE, $DETACH) = (0x20000, 0x44000, 2);    # clone(2), mount(2), umount2(2)
my ($RDONLY, $BIND) = (1, 0x5000);
my %CALL = (mount => 165, umount2 => 166, unshare => 272, execve => 59, clock_settime => 227, poll => 7,
    setgroups => 116, setgid => 106, setuid => 105);    # of x86_64
my ($SETPTLCK, $GPTN, $SCTTY, $SWINSZ) = (0x40045431, 0x80045430, 0x540E, 0x5414);    # ioctl_tty(2)
my $LINES = '/sys/class/virtio-ports';
my $OURS = '/sys/fs/cgroup';
my $PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
my $PIECE = 32768;
my $PATIENCE = 1;    # seconds after which lines are looked at although no signal came

my ($user, @command) = split /\0/, content("$OURS/command"), -1;
my @variables = grep { length } split /\0/, content("$OURS/environment"), -1;
syscall $CALL{umount2}, $OURS, $DETACH;
$SIG{CHLD} = 'DEFAULT';
if (my $agent = fork // die "fork: $!") {
    become($user, '', \@variables, \@command);
}
POSIX::setsid();
$0 = 'lab-agent';
open STDIN, '<', '/dev/null';
open STDOUT, '>', '/dev/null';
open STDERR, '>', '/dev/null';
chdir '/';
serve();

# Wait for commands on every line, for ever.
sub serve {
    my (%lines, %busy, %begun);    # begun: the first byte of what nobody could be started for yet
    pipe(my $woken, my $wake) or die "pipe: $!";
    fcntl $_, F_SETFL, O_NONBLOCK for $woken, $wake;
    $SIG{IO} = $SIG{CHLD} = sub { syswrite $wake, '.' };
    for my $folder (glob "$LINES/*") {
        next unless content("$folder/name") =~ /^lab\.(\d+)$/;
        my $number = $1;
        sysopen my $line, device($folder), O_RDWR | O_NONBLOCK or next;
        fcntl $line, F_SETOWN, $$ + 0;    # a text would be taken for an address
        fcntl $line, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC;
        $lines{$number} = $line;
    }
    forward_names() if !fork;
    while (1) {
        while ((my $gone = waitpid -1, POSIX::WNOHANG) > 0) { delete $busy{$gone} }
        my %taken = reverse %busy;
        for my $number (grep { !defined $taken{$_} } keys %lines) {
            length($begun{$number} // '') || sysread $lines{$number}, $begun{$number}, 1 or next;
            my $worker = fork // next;
            my $first = delete $begun{$number};
            if (!$worker) {
                $SIG{IO} = $SIG{CHLD} = 'DEFAULT';
                $0 = 'lab-agent: a command';
                close $lines{$_} for grep { $_ ne $number } keys %lines;
                answer($lines{$number}, $first);
                POSIX::_exit(0);
            }
            $busy{$worker} = $number;
        }
        vec(my $read = '', fileno $woken, 1) = 1;
        select($read, undef, undef, $PATIENCE) > 0 and sysread $woken, my $dots, 4096;
    }
}

# Take what comes on a line until whoever is at its other end hangs up.
sub answer {
    my ($line, $held) = @_;
    my $asked;
    while (1) {
        my ($kind, $said) = frame($line, \$held) or return;
        if ($kind eq 'T') { set_clock($said) }
        elsif ($kind eq 'O') {
            $asked = $said;
            send_frame($line, 'H', $said =~ s/\0.*//sr) or return;
        }
        elsif ($kind eq 'G' && defined $asked) {
            $held = run($line, $asked, $held) // return;
            $asked = undef;
        }
    }
}

# Read a frame; nothing when the other end hung up.
sub frame {
    my ($line, $held) = @_;
    while (1) {
        if (length $$held >= 5) {
            my ($kind, $length) = unpack 'aN', $$held;
            if (length $$held >= 5 + $length) {
                my $frame = substr $$held, 0, 5 + $length, '';
                return ($kind, substr $frame, 5);
            }
        }
        vec(my $read = '', fileno $line, 1) = 1;
        select $read, undef, undef, undef;
        my $got = sysread $line, $$held, $PIECE, length $$held;
        return if defined $got && $got == 0;
        return if !defined $got && $! != EAGAIN && $! != EINTR;
    }
}

# Run one command; return what came after it, or nothing when the other end hung up.
sub run {
    my ($line, $asked, $held) = @_;
    my (undef, $way, $user, $folder, $count, @rest) = split /\0/, $asked, -1;
    my @variables = splice @rest, 0, $count;
    my $tty = $way eq 'tty';
    my ($input, $out, $error, $process) = $tty ? on_terminal() : on_pipes();
    if (!$process) {
        pristine() if $way eq 'pristine';
        become($user, $folder, \@variables, \@rest);
    }
    my %open = (1 => $out, $error ? (2 => $error) : ());
    my ($waiting, $last, $piece) = ('', 0, '');
    while (%open) {
        while (length $held >= 5) {    # some of it may have come with what began the command
            my ($kind, $length) = unpack 'aN', $held;
            last if length $held < 5 + $length;
            if ($kind eq 'O') { hang_up($input, $process); return $held }
            my $said = substr substr($held, 0, 5 + $length, ''), 5;
            if ($kind eq 'I') { $waiting .= $said if $input }
            elsif ($kind eq 'E') { $last = 1 }
            elsif ($kind eq 'W') { size($out, split / /, $said) }
            else { return hang_up($input, $process) }
        }
        if ($input && $last && !length $waiting) {
            close $input unless $tty;
            $input = undef;
        }
        my ($read, $write) = ('', '');
        vec($read, fileno $line, 1) = 1 if length $waiting < 1 << 20;
        vec($read, fileno $_, 1) = 1 for values %open;
        vec($write, fileno $input, 1) = 1 if $input && length $waiting;
        if (select($read, $write, undef, $PATIENCE) <= 0) {
            return hang_up($input, $process) if gone($line);    # who is not read does not say that he went
            next;
        }
        if (vec $read, fileno $line, 1) {
            my $got = sysread $line, $held, $PIECE, length $held;
            return hang_up($input, $process) if defined $got ? !$got : $! != EAGAIN && $! != EINTR;
        }
        if ($input && length $waiting && vec $write, fileno $input, 1) {
            my $taken = syswrite $input, $waiting;
            if (defined $taken) { substr $waiting, 0, $taken, '' }
            elsif ($! != EAGAIN) { ($waiting, $last) = ('', 1) }
        }
        for my $channel (keys %open) {
            next unless vec $read, fileno $open{$channel}, 1;
            my $got = sysread $open{$channel}, $piece, $PIECE;
            if (!$got) { delete $open{$channel} unless !defined $got && $! == EINTR; next }
            send_frame($line, $channel, $piece) or return hang_up($input, $process);
        }
    }
    waitpid $process, 0;
    send_frame($line, 'X', $? & 127 ? 128 + ($? & 127) : $? >> 8) or return;
    return $held;
}

# End a command whose caller is gone: its keeper sees the end of its input and ends the rest.
sub hang_up {
    my ($input, $process) = @_;
    close $input if $input;
    kill HUP => $process;
    waitpid $process, 0;
    return;
}

# Write a frame; false when the other end hung up.
sub send_frame {
    my ($line, $kind, $said) = @_;
    my $left = pack 'aNa*', $kind, length $said, $said;
    while (length $left) {
        my $written = syswrite $line, $left, $PIECE;
        if (defined $written) { substr $left, 0, $written, ''; next }
        return 0 if $! != EAGAIN && $! != EINTR;
        my ($write, $read) = ('', '');
        vec($write, fileno $line, 1) = 1;
        vec($read, fileno $line, 1) = 1;
        select undef, $write, undef, 0.2;
        return 0 if gone($line);
    }
    return 1;
}

# Tell whether nobody is at the other end: poll(2) says so, and Perl's select does not.
sub gone {
    my ($line) = @_;
    my $asked = pack 'iss', fileno $line, 4, 0;
    syscall $CALL{poll}, $asked, 1, 0;
    return (unpack 'iss', $asked)[2] & 16;
}

# Start a process with pipes; its number is 0 inside it.
sub on_pipes {
    pipe(my $stdin, my $input) or die "pipe: $!";
    pipe(my $out, my $stdout) or die "pipe: $!";
    pipe(my $error, my $stderr) or die "pipe: $!";
    my $process = fork // die "fork: $!";
    if (!$process) {
        POSIX::setsid();
        POSIX::dup2(fileno $stdin, 0);
        POSIX::dup2(fileno $stdout, 1);
        POSIX::dup2(fileno $stderr, 2);
        return;
    }
    fcntl $input, F_SETFL, O_NONBLOCK;
    return ($input, $out, $error, $process);
}

# The same with a terminal.
sub on_terminal {
    sysopen my $master, '/dev/pts/ptmx', O_RDWR | O_NOCTTY or die "ptmx: $!";
    my $free = pack 'i', 0;
    ioctl $master, $SETPTLCK, $free;
    my $number = pack 'i', 0;
    ioctl $master, $GPTN, $number;
    my $process = fork // die "fork: $!";
    if (!$process) {
        POSIX::setsid();
        sysopen my $slave, '/dev/pts/' . unpack('i', $number), O_RDWR or POSIX::_exit(126);
        ioctl $slave, $SCTTY, 0;
        POSIX::dup2(fileno $slave, $_) for 0, 1, 2;
        return;
    }
    return ($master, $master, undef, $process);
}

sub size {
    my ($terminal, $rows, $columns) = @_;
    ioctl $terminal, $SWINSZ, pack 'S4', $rows, $columns, 0, 0;
}

# Take the disk as it was baked for root, in a view of the files that nobody else has.
sub pristine {
    my ($none, $ext4) = ('none', 'ext4');
    my ($disk, $root, $slash) = ('/dev/vdb', $OURS, '/');
    syscall $CALL{unshare}, $NEWNS;
    syscall $CALL{mount}, $none, $slash, 0, $PRIVATE, 0;
    my $how = 'noload';
    syscall($CALL{mount}, $disk, $root, $ext4, $RDONLY, $how) == 0 or fail("the disk as baked: $!");
    for my $name (qw(proc dev sys)) {
        my ($it, $at) = ("/$name", "$root/$name");
        syscall $CALL{mount}, $it, $at, 0, $BIND, 0;
    }
    chroot $root or fail("chroot: $!");
    chdir '/';
}

# Become a command, as a user: `name`, `number` or `number:number`. The call is made past the C library, in
# which the log of program starts sits: the first program of an exec is in no log, as in a container.
sub become {
    my ($user, $folder, $variables, $argv) = @_;
    my ($name, $group) = split /:/, $user || 'root';
    my @known = $name =~ /^\d+$/ ? getpwuid $name : getpwnam $name;
    @known or $name =~ /^\d+$/ or fail("there is no user $name");
    my ($number, $of, $home) = @known ? @known[2, 3, 7] : ($name, 0, '/');
    my @groups = ($of);
    while (my @it = getgrent) { push @groups, $it[2] if @known && grep { $_ eq $known[0] } split / /, $it[3] }
    my %environment = map { split /=/, $_, 2 } "PATH=$PATH", "HOME=$home", @$variables;
    chomp($environment{HOSTNAME} = content('/proc/sys/kernel/hostname'));
    @groups = ($group) if defined $group;
    my $all = pack 'I*', @groups;
    syscall $CALL{setgroups}, scalar @groups, $all;
    syscall $CALL{setgid}, $groups[0] + 0;
    syscall $CALL{setuid}, $number + 0;
    chdir($folder || '/') or fail("$folder: $!");
    $SIG{$_} = 'DEFAULT' for qw(CHLD IO PIPE HUP INT TERM);
    POSIX::close($_) for 3 .. 63;
    my @given = map { "$_=$environment{$_}" } sort keys %environment;
    my $words = pack 'p' x @$argv . 'x8', @$argv;
    my $pairs = pack 'p' x @given . 'x8', @given;
    my @tried = index($argv->[0], '/') >= 0 ? $argv->[0] : map { "$_/$argv->[0]" } split /:/, $environment{PATH};
    my $why = POSIX::ENOENT();
    for my $program (@tried) {
        syscall $CALL{execve}, $program, $words, $pairs;
        $why = $! + 0 if $! != POSIX::ENOENT();
    }
    $! = $why;
    fail("$argv->[0]: $!");
}

sub fail {
    my ($said) = @_;
    syswrite STDERR, "$said\n";
    POSIX::_exit(126);
}

sub device {
    my ($folder) = @_;
    return $folder =~ s{.*/}{/dev/}r;
}

sub set_clock {
    my ($now) = @_;
    my $moment = pack 'qq', int($now / 1e9), $now % 1_000_000_000;
    syscall $CALL{clock_settime}, 0, $moment;
}

sub content {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/ = undef;
    my $text = <$file> // '';
    $text =~ s/\n\z//;
    return $text;
}

# Answer questions for names as the engine's own resolver does, which hears them through a line.
sub forward_names {
    use Socket;
    $0 = 'lab-agent: names';
    $SIG{IO} = $SIG{CHLD} = 'IGNORE';
    my ($folder) = grep { content("$_/name") eq 'lab.names' } glob "$LINES/*";
    sysopen my $line, device($folder), O_RDWR or POSIX::_exit(1);
    socket my $door, PF_INET, SOCK_DGRAM, 0;
    bind $door, pack_sockaddr_in(53, inet_aton('127.0.0.11')) or POSIX::_exit(1);
    my ($held, $number, %asked) = ('', 0);
    while (1) {
        my $read = '';
        vec($read, fileno $_, 1) = 1 for $line, $door;
        select($read, undef, undef, undef) > 0 or next;
        if (vec $read, fileno $door, 1) {
            my $from = recv $door, my $question, 4096, 0;
            if ($from && length $question > 2) {
                $number = ($number + 1) % 65536;
                $asked{$number} = $from;
                syswrite $line, pack 'nn/a*', $number, $question;
            }
        }
        if (vec $read, fileno $line, 1) {
            my $got = sysread $line, $held, $PIECE, length $held;
            if (!$got) { $held = ''; select undef, undef, undef, 0.5 }
            while (length $held >= 4 && length $held >= 4 + (unpack 'nn', $held)[1]) {
                my ($of, $length) = unpack 'nn', $held;
                my $said = substr substr($held, 0, 4 + $length, ''), 4;
                my $to = delete $asked{$of};
                send $door, $said, 0, $to if $to;
            }
        }
    }
}
