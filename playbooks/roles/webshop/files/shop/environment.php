<?php
// Before every script: programs that it starts are told for whom, as those of a CGI are (RFC 3875).

foreach (['REMOTE_ADDR', 'REMOTE_PORT'] as $name) {
    putenv($name . '=' . ($_SERVER[$name] ?? ''));
}
