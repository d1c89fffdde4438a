# Runs inside a node for `lab.engine.conversation`: keeps a command and all that it starts together.
#
# Whatever one of ours starts in a node ends with it, also when ours is killed or its terminal is closed.
# All that Docker tells the command then is the end of its standard input, so that is our lifeline: input for
# the command comes in frames, `LENGTH newline BYTES`, a frame of no bytes is its end, and the end of our own
# input means that nobody is there any more. What the command leaves in the background ends with it.
#
# Perl, since every Debian has it (perl-base is essential), it starts in 3 ms where Python takes 20, and it can
# ask the kernel to hand it orphans (PR_SET_CHILD_SUBREAPER), so that no double fork escapes. Root in a node
# without CAP_KILL cannot end processes of others, but whoever could start them as others can become them.
#
# The first line on standard error is the command's process id. `--leash PROCESS` keeps one that runs already:
# a shell on a terminal, whose input never ends.
use strict;
use warnings;
no warnings 'exec';    # said below, in one line
use Config;

my %PRCTL = (x86_64 => 157, aarch64 => 167);    # numbers of prctl(2), by architecture
my $SUBREAPER = 36;
my ($WNOHANG, $ALL, $F_SETFL, $O_NONBLOCK) = (1, 0x40000000, 4, 2048);    # __WALL: threads too
my $ENOUGH = 1 << 20;                           # bytes of input held for a command that does not read
my $IDLE = 0.2;                                 # seconds; Perl may see a signal just too late to end a wait
my $ROUNDS = 500;                               # looks at what is left, 10 ms apart, before we give up

my ($machine) = split /-/, $Config{archname};
syscall($PRCTL{$machine}, $SUBREAPER, 1, 0, 0, 0) if $PRCTL{$machine};

my $traced = @ARGV && $ARGV[0] eq '--trace' && shift @ARGV;
if (@ARGV == 2 && $ARGV[0] eq '--leash') {
    syswrite STDERR, "$ARGV[1]\n";
    1 while sysread STDIN, my $frames, 4096;
    kill HUP => $ARGV[1];
    select undef, undef, undef, 0.1;
    end_family($ARGV[1]);
    kill KILL => $ARGV[1];
    exit 0;
}

pipe(my $woken, my $wake) or die "pipe: $!";
fcntl($_, $F_SETFL, $O_NONBLOCK) for $woken, $wake;
pipe(my $input, my $feed) or die "pipe: $!";
fcntl($feed, $F_SETFL, $O_NONBLOCK);
pipe(my $gate, my $opener) or die "pipe: $!";
$SIG{CHLD} = sub { syswrite $wake, '.' };
$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { finish(143) } for qw(TERM HUP INT);

my $command = fork // die "fork: $!";
if (!$command) {
    open STDIN, '<&', $input or die "dup: $!";
    $SIG{$_} = 'DEFAULT' for qw(PIPE TERM HUP INT CHLD);
    close $opener;
    my $followed = sysread $gate, my $word, 1;    # until it is known whether we are followed
    syswrite STDERR, "$$\n";
    filter_calls() if $followed;
    exec { $ARGV[0] } @ARGV or print STDERR "$ARGV[0]: $!\n";
    exit($!{ENOENT} ? 127 : 126);
}
close $input;
close $gate;
if ($traced) {
    if (follow($command)) { syswrite $opener, '.' }
    else                  { missed("this node lets nobody follow a process: $!") }
}
close $opener;

my ($waiting, $left, $head) = ('', undef, '');    # input for the command, bytes of the frame to come
my $open = 1;                                     # whether more input may come
while (1) {
    reap();
    my ($read, $write) = ('', '');
    vec($read, fileno $woken, 1) = 1;
    vec($read, fileno STDIN, 1) = 1 if length $waiting < $ENOUGH;
    vec($write, fileno $feed, 1) = 1 if $feed && length $waiting;
    select($read, $write, undef, $traced ? $IDLE / 20 : $IDLE) > 0 or next;
    sysread $woken, my $dots, 4096 if vec $read, fileno $woken, 1;
    if (vec $read, fileno STDIN, 1) {
        sysread(STDIN, my $chunk, 65536) or finish(137);
        take($chunk);
    }
    give();
}

# Read frames, whole or in part.
sub take {
    my ($chunk) = @_;
    while (length $chunk) {
        if (!defined $left) {
            $chunk =~ s/^([^\n]*)(\n?)//;
            $head .= $1;
            next unless $2;
            ($left, $head) = (int $head, '');
            ($open, $left) = (0, undef) unless $left;
            next;
        }
        my $part = substr $chunk, 0, $left, '';
        $left -= length $part;
        $left = undef unless $left;
        $waiting .= $part if $feed;
    }
}

# Hand the command what it takes; a command that reads no more is no error.
sub give {
    return unless $feed;
    if (length $waiting) {
        my $taken = syswrite $feed, $waiting;
        if (defined $taken) { substr $waiting, 0, $taken, '' }
        elsif (!$!{EAGAIN}) { ($waiting, $open) = ('', 0) }
    }
    if (!$open && !length $waiting) { close $feed; $feed = undef }
}

# Bury who has died; when it was the command, end what it left and answer as a shell does.
sub reap {
    while (1) {
        my ($changed, $status) = $traced ? changed() : (waitpid(-1, $WNOHANG), $?);
        last if $changed <= 0;
        if (($status & 0xff) == 0x7f) { went($changed, $status); next }
        my $code = $status & 127 ? 128 + ($status & 127) : $status >> 8;
        ended($changed, $code) if $traced;
        finish($code) if $changed == $command;
    }
}

# End what is left, tell what was seen, and answer as a shell does.
sub finish {
    my ($code) = @_;
    end_family($$);
    write_trailer() if $traced;
    exit $code;
}

# Kill every descendant of a process, as the user it belongs to, until none is left.
sub end_family {
    my ($head) = @_;
    local $SIG{CHLD} = 'DEFAULT';
    for (1 .. $ROUNDS) {
        1 while waitpid(-1, $WNOHANG | $ALL) > 0;
        my @left = family($head) or return;
        for my $process (@left) {
            my $owner = (stat "/proc/$process")[4] // next;
            my $self = $>;
            $> = $owner if $owner != $self;
            kill KILL => $process;
            $> = $self if $> != $self;
        }
        select undef, undef, undef, 0.01;
    }
}

# List the descendants of a process, those that are dead and not yet buried left out.
sub family {
    my @look = @_;
    my (@found, %children);
    for my $folder (glob '/proc/[0-9]*') {
        open my $file, '<', "$folder/stat" or next;
        my ($process, $state, $parent) = (<$file> // '') =~ /^(\d+) \(.*\) (\S) (\d+) /s or next;
        push @{ $children{$parent} }, [$process, $state];
    }
    while (defined(my $parent = shift @look)) {
        for my $child (@{ $children{$parent} // [] }) {
            push @look, $child->[0];
            push @found, $child->[0] if $child->[1] ne 'Z';
        }
    }
    return @found;
}
