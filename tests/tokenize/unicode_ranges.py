"""Prints em_category_changes of tokenize/unicode.c: the general categories that Hugging Face tokenizers
(Oniguruma, Unicode 16) knows and Unicode 14 does not. Needs: pip install tokenizers; Python 3.11 (Unicode 14)."""
import unicodedata
from tokenizers import Regex, normalizers

assert unicodedata.unidata_version.startswith('14.')
NAMES = 'Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co'.split()
points = [c for c in range(0x110000) if not 0xd800 <= c < 0xe000]
changed = {}
for name in NAMES:
    without = normalizers.Replace(Regex(r'\p{%s}' % name), '')
    for i in range(0, len(points), 8192):
        part = points[i:i + 8192]
        left = set(without.normalize_str(''.join(map(chr, part))))
        for c in part:
            if chr(c) not in left and unicodedata.category(chr(c)) != name: changed[c] = name
ranges = []
for c in sorted(changed):
    if ranges and ranges[-1][1] == c - 1 and ranges[-1][2] == changed[c]: ranges[-1][1] = c
    else: ranges.append([c, c, changed[c]])
for first, last, name in ranges: print('{0x%x, 0x%x, %s},' % (first, last, name.upper()))
