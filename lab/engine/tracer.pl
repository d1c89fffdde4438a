# Stands before `keeper.pl` for commands whose every process and connection is to be known: a tracer, ptrace(2).
#
# A log of program starts leaves out static programs and whatever forks without a new program, a table of
# sockets leaves out what is closed by the time one looks. The kernel tells a tracer of each process before it
# runs, and a filter (seccomp(2)) stops at the two calls that aim a socket; all else runs at full speed.
# What we are told becomes a trailer on standard error, after the last process of the command has ended:
#
#   P pid parent nanoseconds-since-1970 code command line               code: as a shell gives it; - unknown
#   C transport local-address local-port remote-address remote-port     port 0: none, or it was given back
#   E nanoseconds-since-1970                                          when the last process was gone
#   ! what could not be followed
#   NUL and the length of these lines, ten digits
use strict;
use warnings;
use Config;

# By architecture: prctl, ptrace, wait4, clock_gettime, setfsuid, setfsgid, connect, sendto; AUDIT_ARCH.
my %CALLS = (
    x86_64  => [157, 101, 61,  228, 122, 123, 42,  44,  0xC000003E],
    aarch64 => [167, 117, 260, 113, 151, 152, 203, 206, 0xC00000B7],
);
my ($CONTROL, $PTRACE, $WAIT, $CLOCK, $AS_USER, $AS_GROUP, $CONNECT, $SENDTO, $ARCHITECTURE)
    = @{ $CALLS{ (split /-/, $Config{archname})[0] } // [] };
my ($PEEK, $CONT, $SYSCALL, $EVENTMSG, $SEIZE, $LISTEN, $CALLINFO)
    = (2, 7, 24, 0x4201, 0x4206, 0x4208, 0x420e);
# TRACESYSGOOD, FORK, VFORK, CLONE, EXEC, SECCOMP; EXITKILL: what is traced dies with us, however we die.
my $OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000;
my ($MOST_PROCESSES, $MOST_CONNECTIONS) = (4096, 65536);
my ($MOST_LOOKS, $LOOKS_A_SECOND) = (200, 100);
my ($looks, $looked) = ($MOST_LOOKS, 0);
my (%processes, %connections, %calling, @missed);

# Follow a process that waits to be let go; tell whether that is possible here.
sub follow {
    my ($process) = @_;
    return 0 unless $PTRACE && syscall($PTRACE, $SEIZE, $process, 0, $OPTIONS) == 0;
    begun($process, $$);
    return 1;
}

# Ask the kernel to stop at connect, and at sendto with an address. Done by the command itself, before it begins.
sub filter_calls {
    my @code = (
        [0x20, 0, 0, 4], [0x15, 0, 8, $ARCHITECTURE],            # another architecture: let pass
        [0x20, 0, 0, 0], [0x15, 5, 0, $CONNECT], [0x15, 0, 5, $SENDTO],
        [0x20, 0, 0, 48], [0x15, 0, 2, 0], [0x20, 0, 0, 52], [0x15, 1, 0, 0],
        [0x06, 0, 0, 0x7ff00000],                                # stop
        [0x06, 0, 0, 0x7fff0000],                                # let pass
    );
    my $text = join '', map { pack 'SCCL', @$_ } @code;
    my $program = pack 'Sx6P', scalar @code, $text;
    syscall($CONTROL, 38, 1, 0, 0, 0);                   # PR_SET_NO_NEW_PRIVS: or only root may filter
    return syscall($CONTROL, 22, 2, $program) == 0;      # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
}

# Return a process that ended or stopped, and its status; Perl's own waitpid keeps only half of that.
sub changed {
    my $status = pack 'i', 0;
    my $process = syscall($WAIT, -1, $status, 0x40000001, 0);    # WNOHANG, __WALL: threads too
    return ($process, unpack 'i', $status);
}

# Let a stopped process go on; where it stopped, and why, is in its status.
sub went {
    my ($process, $status) = @_;
    my ($signal, $event) = ($status >> 8 & 0xff, $status >> 16);
    my $request = $CONT;
    if ($event == 128) {                                         # PTRACE_EVENT_STOP
        return resume($LISTEN, $process, 0) if grep { $_ == $signal } 19, 20, 21, 22;
        $signal = 0;
    }
    elsif ($event == 7) { ($request, $signal) = (aims($process) ? $SYSCALL : $CONT, 0) }
    elsif ($event >= 1 && $event <= 3) { begun(message($process), $process); $signal = 0 }
    elsif ($event == 4) { became($process); $signal = 0 }
    elsif ($signal == (5 | 0x80)) { aimed($process); $signal = 0 }
    $request = $SYSCALL if $calling{$process};
    resume($request, $process, $signal);
}

sub resume { syscall($PTRACE, $_[0], $_[1], 0, $_[2]) }

sub message {
    my $number = pack 'Q', 0;
    syscall($PTRACE, $EVENTMSG, $_[0], 0, $number);
    return unpack 'Q', $number;
}

sub begun {
    my ($process, $parent) = @_;
    return if !$process || $processes{$process};
    return missed("more than $MOST_PROCESSES processes") if keys %processes >= $MOST_PROCESSES;
    $processes{$process} = [$parent, moment(), '-', ''];
}

sub ended { $processes{ $_[0] }[2] = $_[1] if $processes{ $_[0] } }

sub moment {
    my $now = pack 'qq', 0, 0;
    syscall($CLOCK, 0, $now);
    my ($seconds, $rest) = unpack 'qq', $now;
    return $seconds * 1_000_000_000 + $rest;
}

sub became {
    my ($process) = @_;
    begun($process, 0);
    open my $file, '<', "/proc/$process/cmdline" or return;
    read $file, my $words, 1024;
    $words =~ s/\0+$//;
    $words =~ s/\0/ /g;
    $words =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
    $processes{$process}[3] = $words if $processes{$process};
}

# Before a socket is aimed: keep where to; tell whether the end of the call is wanted.
sub aims {
    my ($process) = @_;
    my $info = "\0" x 88;
    return 0 if syscall($PTRACE, $CALLINFO, $process, 88, $info) <= 0;
    my ($call, $socket, $buffer, $length, undef, $address) = unpack 'x24 Q6', $info;
    $address = $buffer if $call == $CONNECT;
    my $to = endpoint(peek($process, $address, 32)) or return 0;
    my $head = $call == $SENDTO ? peek($process, $buffer, $length < 40 ? $length : 40) : '';
    $calling{$process} = [$call, $socket, $to, $head];
    return 1;
}

# Read an address of IPv4, also one that is written as IPv6; nothing for any other family.
sub endpoint {
    my ($bytes) = @_;
    my ($family, $port) = (unpack('S', $bytes), unpack 'x2 n', $bytes);
    return [join('.', unpack 'x4 C4', $bytes), $port] if $family == 2;
    return [join('.', unpack 'x20 C4', $bytes), $port]
        if $family == 10 && substr($bytes, 8, 12) eq "\0" x 10 . "\xff\xff";
    return;
}

sub peek {
    my ($process, $address, $length) = @_;
    my $read = '';
    for (my $place = 0; $place < $length; $place += 8) {
        my $word = pack 'Q', 0;
        syscall($PTRACE, $PEEK, $process, $address + $place, $word) == 0 or last;
        $read .= $word;
    }
    return $read . "\0" x ($length - length $read);
}

# After a socket was aimed: find its own end in the tables of this node.
sub aimed {
    my ($process) = @_;
    my $call = delete $calling{$process} or return;
    my ($number, $socket, $to, $head) = @$call;
    my ($transport, $from, $port) = own_end(inode($process, $socket), $number == $CONNECT);
    ($transport, $from, $port, $to) = in_packet($head, $from, $port, $to) if $transport eq 'raw';
    my $key = "$transport $from $port $to->[0] $to->[1]";
    return missed("more than $MOST_CONNECTIONS connections")
        if keys %connections >= $MOST_CONNECTIONS && !$connections{$key};
    $connections{$key} = 1;
}

# Only who could be the owner of a process sees its files; root here has no capability to see all.
sub inode {
    my ($process, $socket) = @_;
    my ($user, $group) = (stat "/proc/$process")[4, 5];
    return 0 unless defined $user;
    syscall($AS_GROUP, $group) if $group != $);
    syscall($AS_USER, $user) if $user != $>;
    my ($inode) = (readlink("/proc/$process/fd/$socket") // '') =~ /(\d+)/;
    syscall($AS_USER, $> + 0) if $user != $>;
    syscall($AS_GROUP, $) + 0) if $group != $);
    return $inode // 0;
}

sub own_end {
    my ($inode, $connects) = @_;
    for my $table ($connects ? qw(udp tcp tcp6) : qw(raw udp udp6 icmp)) {
        last if $table =~ /tcp/ && !may_look();
        open my $file, '<', "/proc/self/net/$table" or next;
        while (<$file>) {
            my ($local, $number) = (split)[1, 9];
            next unless defined $number && $number eq $inode;
            my ($address, $port) = split /:/, $local;
            my $plain = join '.', reverse unpack 'C4', pack 'H8', substr $address, -8;
            return ($table =~ s/6$//r, $plain, hex $port);
        }
    }
    return ($connects ? 'tcp' : 'udp', '0.0.0.0', 0);    # refused while it was asked for, or too many
}

# The kernel needs a millisecond to list its connections, so a scan that opens thousands is not asked for each.
sub may_look {
    my $now = moment();
    $looks += ($now - $looked) * $LOOKS_A_SECOND / 1e9;
    $looks = $MOST_LOOKS if $looks > $MOST_LOOKS;
    $looked = $now;
    return 0 if $looks < 1;
    $looks--;
    return 1;
}

# Read the ends of a packet that a program made itself; a raw socket's `port` is its protocol.
sub in_packet {
    my ($head, $from, $protocol, $to) = @_;
    my $body = $head;
    if (ord(substr $head, 0, 1) >> 4 == 4 && length $head >= 28 && $protocol == 255) {
        ($protocol, $from) = (ord substr($head, 9, 1), join '.', unpack 'x12 C4', $head);
        $to = [join('.', unpack 'x16 C4', $head), 0];
        $body = substr $head, 4 * (ord($head) & 15);
    }
    my $name = { 1 => 'icmp', 6 => 'tcp', 17 => 'udp' }->{$protocol} // "ip-$protocol";
    my ($own, $other) = $name =~ /tcp|udp/ && length $body >= 4 ? unpack 'nn', $body : (0, 0);
    return ($name, $from, $own, [$to->[0], $other]);
}

sub missed { push @missed, @_ unless grep { $_ eq $_[0] } @missed }

sub write_trailer {
    my @lines = map { "P $_ @{ $processes{$_} }" } sort { $a <=> $b } keys %processes;
    push @lines, map { "C $_" } sort keys %connections;
    push @lines, 'E ' . moment(), map { "! $_" } @missed;
    my $text = join '', map { "$_\n" } @lines;
    $text .= sprintf "\0%010d", length $text;
    while (length $text) {
        my $written = syswrite STDERR, $text;
        last unless defined $written;
        substr $text, 0, $written, '';
    }
}
