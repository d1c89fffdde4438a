"""Which programs and files a node has, asked without a trace.

Perl, since every Debian has it, and the first program of a quiet command is in no log of program starts.
"""

from __future__ import annotations

from typing import Final

_PRESENT: Final = r"""
for my $name (@ARGV) {
    my @places = $name =~ m{/} ? ($name) : map { "$_/$name" } split /:/, $ENV{PATH};
    print "$name\n" if grep { $name =~ m{/} ? -e : -x && !-d } @places;
}
"""


def ask_present(*names: str, more: str = "") -> tuple[str, ...]:
    """Return a command line that prints those of some names that are there, a line each.

    Args:
        names: Programs on the path, and whole paths of files.
        more: Perl that asks for more.
    """
    return ("perl", "-e", _PRESENT + more, "--", *names)
