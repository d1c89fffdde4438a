<?php
// Whether the shop resists. One file, made by the role when `webshop_hardened` is true, decides for every
// weakness at once, so that the two shops differ in nothing else.

declare(strict_types=1);

define('HARDENED', is_file(__DIR__ . '/../hardened'));
