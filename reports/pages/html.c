#include "reports/pages/html.h"

#include "reports/pages/escape.h"

/* Colours of series: Okabe and Ito, "Color Universal Design" (2008), its yellow and light hues
 * darkened for a light page. */
static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d0d7de;--grid:#e7ebef;--head:#f6f8fa;"
    "--note:#ddf4ff;--note-edge:#0969da;--loud:#fff1e5;--loud-edge:#bc4c00;"
    "--c0:#0072b2;--c1:#d55e00;--c2:#007a59;--c3:#a8518a;--c4:#a67500;--c5:#2b8cbe;--c6:#6e5494;--"
    "c7:#444}\n"
    "@media "
    "(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--soft:#9198a1;--line:#3d444d;--"
    "grid:#21262d;--head:#161b22;"
    "--note:#0c2238;--note-edge:#4493f8;--loud:#3a2010;--loud-edge:#f0883e;"
    "--c0:#56b4e9;--c1:#f0883e;--c2:#2fbf93;--c3:#dd94c4;--c4:#e6b422;--c5:#9ad0f5;--c6:#b9a3e3;--"
    "c7:#ccc}}\n"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 "
    "system-ui,-apple-system,\"Segoe UI\",\"Noto Sans\",sans-serif}\n"
    "main{max-width:70rem;margin:0 auto;padding:1.5rem 1rem 3rem}\n"
    "h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0 1rem;overflow-wrap:anywhere}"
    "h2{font-size:1.2rem;margin:2rem 0 .6rem;padding-top:.6rem;border-top:1px solid "
    "var(--line);overflow-wrap:anywhere}"
    "h3{font-size:1rem;margin:1.2rem 0 .4rem;overflow-wrap:anywhere}\n"
    "p,ul{margin:.5rem 0 "
    ".9rem;max-width:52rem;overflow-wrap:anywhere}ul{padding-left:1.2rem}li{margin:.15rem 0}\n"
    ".small,main>p{color:var(--soft);font-size:.875rem}\n"
    ".scroll{overflow-x:auto;margin:.5rem 0 1rem}"
    "table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:.28rem .7rem;border-bottom:1px solid "
    "var(--line);text-align:right;white-space:nowrap}"
    "th{background:var(--head);font-weight:600;vertical-align:bottom;white-space:normal;min-width:"
    "4.2rem}"
    ".t{text-align:left}tbody tr:hover{background:var(--head)}\n"
    ".note{border-left:4px solid var(--note-edge);background:var(--note);padding:.3rem "
    ".9rem;margin:.8rem 0;border-radius:0 6px 6px 0}"
    ".note ul{margin:.3rem 0}.loud{border-color:var(--loud-edge);background:var(--loud)}\n"
    "details{margin:.5rem 0}summary{cursor:pointer}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));gap:"
    "1rem;margin:.8rem 0}.plots:empty{display:none}"
    "figure{margin:0;padding:.6rem .7rem;border:1px solid "
    "var(--line);border-radius:8px;min-width:0;max-width:36rem}"
    "figcaption{font-weight:600;font-size:.875rem;margin-bottom:.3rem;overflow-wrap:anywhere}"
    "figure>svg{display:block;width:100%;height:auto}"
    "svg text{fill:var(--soft);font:11px system-ui,-apple-system,\"Segoe UI\",\"Noto "
    "Sans\",sans-serif}"
    ".grid{stroke:var(--grid)}.zero{stroke:var(--soft);stroke-dasharray:4 3}"
    ".l{fill:none;stroke:var(--c);stroke-width:1.8}.m{fill:var(--c);stroke:var(--c);stroke-width:1."
    "2}.m.hollow{fill:var(--bg)}"
    ".band{fill:var(--c);opacity:.16}"
    ".legend{display:flex;flex-wrap:wrap;gap:.1rem 1rem;font-size:.8rem;color:var(--soft)}.legend "
    "span{white-space:nowrap}"
    ".legend svg{vertical-align:-1px}\n"
    ".s0{--c:var(--c0)}.s1{--c:var(--c1);stroke-dasharray:7 3}.s2{--c:var(--c2);stroke-dasharray:2 "
    "3}.s3{--c:var(--c3);stroke-dasharray:9 3 2 3}"
    ".s4{--c:var(--c4)}.s5{--c:var(--c5);stroke-dasharray:7 3}.s6{--c:var(--c6);stroke-dasharray:2 "
    "3}.s7{--c:var(--c7);stroke-dasharray:9 3 2 3}"
    ".m{stroke-dasharray:none}\n"
    "@media (max-width:30rem){svg text{font-size:13px}h1{font-size:1.3rem}}\n"
    "@media "
    "print{:root{--bg:#fff;--fg:#000;--soft:#333}main{max-width:none;padding:0}figure,table{break-"
    "inside:avoid}"
    ".scroll{overflow:visible}th,td{white-space:normal;padding:.2rem "
    ".4rem}h2,h3{break-after:avoid}}\n";

void em_html_open(em_buffer *out, const char *title, const char *more) {
    em_buffer_puts(
        out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    em_put_escaped(out, title);
    em_buffer_puts(out, "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    em_buffer_puts(out, style);
    em_buffer_puts(out, more);
    em_buffer_puts(out, "</style>\n</head>\n<body>\n<main>\n");
}

void em_html_close(em_buffer *out) { em_buffer_puts(out, "</main>\n</body>\n</html>\n"); }
