<?php
// What is for the shop's own people: where a parcel is, and a page that nothing links to.

declare(strict_types=1);

const PARCELS = '/var/lib/shop/parcels.txt';

function show_parcel(): void
{
    $number = is_string($_GET['number'] ?? null) ? $_GET['number'] : '';
    // WEAKNESS CWE-78: the number becomes part of a shell's command line, so  ; id  runs a command.
    // RIGHT: no shell at all.
    $found = HARDENED ? preg_grep('~' . preg_quote($number, '~') . '~', file(PARCELS, FILE_IGNORE_NEW_LINES))
        : explode("\n", trim((string) shell_exec("grep -e $number " . PARCELS)));
    page('Where is my parcel?', '<p class="lead">' . implode('<br>', array_map(text(...), $found)) . '</p>'
        . '<form action="/parcel"><label>Number <input name="number"></label> <button>Look</button></form>');
}

function show_staff(): void
{
    // WEAKNESS CWE-425: no page links here, so nobody was thought to come. RIGHT: staff alone.
    if (HARDENED && (visitor()['role'] ?? '') !== 'staff') {
        show_not_found();
        return;
    }
    page('For us', '<p>Stock export at 06:10 from <code>files</code>. Photographs: ask Maria.</p>');
}

/** HTML of what the developer wanted to see, when the address asks for it. */
function debug_notes(): string
{
    // WEAKNESS CWE-489: a parameter that was left in. RIGHT: taken out.
    return HARDENED || !isset($_GET['debug']) ? ''
        : '<pre>' . text(PHP_VERSION . ' ' . DATABASE . ' ' . php_uname()) . '</pre>';
}
