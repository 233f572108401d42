#include "reports/pages/page.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "reports/pages/escape.h"

enum { WIDTH = 80 };

/* ---- text ---- */

static bool in_word(char c) { return isalnum((unsigned char)c) || (unsigned char)c >= 0x80; }

/* "[words](", "[words][" or "[words]:" at text. */
static bool begins_link(const char *text, size_t n) {
    for (size_t i = 1; i + 1 < n; i++)
        if (text[i] == ']' && strchr("([:", text[i + 1])) return true;
    return false;
}

static bool begins_entity(const char *text, size_t n) {
    size_t i = 1;
    while (i < n && (isalnum((unsigned char)text[i]) || text[i] == '#')) i++;
    return i > 1 && i < n && text[i] == ';';
}

/* What GitHub would take for a tag, emphasis, code, mathematics, a link or an entity. */
static bool is_markup(const char *text, size_t n, size_t i) {
    switch (text[i]) {
    case '<':
    case '*':
    case '`':
    case '~':
    case '$':
    case '\\': return true;
    case '_': return i == 0 || i + 1 == n || !in_word(text[i - 1]) || !in_word(text[i + 1]);
    case '[': return begins_link(text + i, n - i);
    case '&': return begins_entity(text + i, n - i);
    default: return false;
    }
}

/* A name reads as it is on every face; what is read as plain text stays as it is, but for what ends
 * a cell: a bar, and a \ that would take the one before it. */
static void put_markdown(em_buffer *out, em_face face, const char *text, size_t n, bool in_table) {
    for (size_t i = 0; i < n; i++) {
        bool ends_cell = text[i] == '|' ||
                         (text[i] == '\\' && text[i + strspn(text + i, "\\")] == '|');
        if (face == EM_FACE_GITHUB ? is_markup(text, n, i) || (in_table && text[i] == '|')
                                   : in_table && ends_cell)
            em_buffer_puts(out, "\\");
        em_buffer_append(out, text + i, 1, NULL);
    }
}

static size_t width_of(const char *s, size_t bytes) {
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

/* Words, a line wrapped where it would pass 80 columns, the next one beginning with `indent`. at:
 * columns used. */
static void put_wrapped(em_buffer *out, em_face face, const char *text, const char *indent,
                        size_t at) {
    size_t start = strlen(indent);
    for (bool first = true; *text; first = false) {
        size_t n = strcspn(text, " "), width = width_of(text, n);
        if (!first && at + 1 + width > WIDTH) {
            em_buffer_printf(out, "\n%s", indent);
            at = start;
        } else if (!first) {
            em_buffer_puts(out, " ");
            at++;
        }
        put_markdown(out, face, text, n, false);
        at += width;
        text += n + strspn(text + n, " ");
    }
    em_buffer_puts(out, "\n");
}

static char *formatted(const char *format, va_list args) {
    char *text;
    em_buffer shown = {0};
    if (vasprintf(&text, format, args) >= 0) {
        em_buffer_puts(&shown, "");
        em_buffer_shown(&shown, text, strlen(text));
        free(text);
        return shown.data;
    }
    fputs("evalmask: out of memory while writing a report\n", stderr);
    exit(EM_MACHINE);
}

em_face em_markdown_face(em_markdown_style style) {
    return style == EM_MARKDOWN_GITHUB ? EM_FACE_GITHUB : EM_FACE_PLAIN;
}

void em_page_end_list(em_page *p) {
    if (p->in_list) em_buffer_puts(p->out, p->face == EM_FACE_HTML ? "</ul>\n" : "\n");
    p->in_list = false;
}

void em_page_heading(em_page *p, int level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = formatted(format, args);
    va_end(args);
    em_page_end_list(p);
    if (p->face == EM_FACE_HTML) {
        em_buffer_printf(p->out, "<h%d>", level);
        em_put_escaped(p->out, text);
        em_buffer_printf(p->out, "</h%d>\n", level);
    } else {
        em_buffer_printf(p->out, "%.*s ", level, "######");
        put_markdown(p->out, p->face, text, strlen(text), false);
        em_buffer_puts(p->out, "\n\n");
    }
    free(text);
}

/* **words** as <b>words</b>. */
static void put_bold(em_buffer *out, const char *text) {
    for (bool bold = false;; bold = !bold) {
        const char *mark = strstr(text, "**");
        em_put_escaped_n(out, text, mark ? (size_t)(mark - text) : strlen(text));
        if (!mark) return;
        em_buffer_puts(out, bold ? "</b>" : "<b>");
        text = mark + 2;
    }
}

/* Takes text. rich: its ** are marks, and so not to be escaped in Markdown. */
static void put_paragraph(em_page *p, char *text, bool rich) {
    em_page_end_list(p);
    if (p->face == EM_FACE_HTML) {
        em_buffer_puts(p->out, "<p>");
        if (rich) put_bold(p->out, text);
        else em_put_escaped(p->out, text);
        em_buffer_puts(p->out, "</p>\n");
    } else {
        put_wrapped(p->out, rich ? EM_FACE_PLAIN : p->face, text, "", 0);
        em_buffer_puts(p->out, "\n");
    }
    free(text);
}

void em_page_paragraph(em_page *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    put_paragraph(p, formatted(format, args), false);
    va_end(args);
}

void em_page_rich_paragraph(em_page *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    put_paragraph(p, formatted(format, args), true);
    va_end(args);
}

void em_page_code(em_page *p, const char *lines) {
    bool html = p->face == EM_FACE_HTML;
    em_page_end_list(p);
    em_buffer_puts(p->out, html ? "<pre>" : "```\n");
    if (html) em_put_escaped(p->out, lines);
    else em_buffer_puts(p->out, lines);
    em_buffer_puts(p->out, html ? "</pre>\n" : "```\n\n");
}

void em_page_item(em_page *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = formatted(format, args);
    va_end(args);
    if (p->face == EM_FACE_HTML) {
        em_buffer_puts(p->out, p->in_list ? "<li>" : "<ul>\n<li>");
        em_put_escaped(p->out, text);
        em_buffer_puts(p->out, "</li>\n");
    } else {
        em_buffer_puts(p->out, "- ");
        put_wrapped(p->out, p->face, text, "  ", 2);
    }
    p->in_list = true;
    free(text);
}

void em_page_notes(em_page *p, bool loud, const char *const *sentences, int n) {
    if (n == 0) return;
    em_page_end_list(p);
    if (p->face == EM_FACE_HTML)
        em_buffer_printf(p->out, "<div class=\"note%s\">\n", loud ? " loud" : "");
    if (p->face == EM_FACE_GITHUB) em_buffer_printf(p->out, "> [!%s]\n", loud ? "WARNING" : "NOTE");
    for (int i = 0; i < n; i++) {
        if (p->face == EM_FACE_GITHUB) {
            em_buffer shown = {0};
            em_buffer_shown(&shown, sentences[i], strlen(sentences[i]));
            em_buffer_puts(p->out, "> - ");
            put_wrapped(p->out, p->face, shown.data ? shown.data : "", ">   ", 4);
            em_buffer_free(&shown);
        } else {
            em_page_item(p, "%s", sentences[i]);
        }
    }
    em_page_end_list(p);
    if (p->face == EM_FACE_GITHUB) em_buffer_puts(p->out, "\n");
    if (p->face == EM_FACE_HTML) em_buffer_puts(p->out, "</div>\n");
}

void em_page_fold(em_page *p, const char *summary) {
    em_page_end_list(p);
    if (p->face == EM_FACE_PLAIN) return;
    em_buffer_puts(p->out, "<details><summary>");
    em_put_escaped(p->out, summary);
    em_buffer_puts(p->out, "</summary>\n\n");
}

void em_page_unfold(em_page *p) {
    em_page_end_list(p);
    if (p->face != EM_FACE_PLAIN) em_buffer_puts(p->out, "</details>\n\n");
}

/* ---- tables ---- */

typedef struct layout {
    const char **cells; /* [n] */
    size_t *width;      /* [columns] */
    int columns, left, n;
    em_face face;
} layout;

static size_t printed_width(const layout *l, const char *cell) {
    size_t n = em_text_width(cell);
    for (const char *c = cell; *c; c++)
        n += *c == '|' || (l->face == EM_FACE_GITHUB && strchr("<*`\\", *c));
    return n;
}

static void out_of_memory(void) {
    fputs("evalmask: out of memory while writing a report\n", stderr);
    exit(EM_MACHINE);
}

static layout lay_out(const em_table *t, em_face face) {
    layout l = {.columns = t->columns, .left = t->left, .n = t->n, .face = face};
    l.cells = em_alloc((size_t)t->n, sizeof *l.cells, "a table", NULL);
    l.width = em_alloc((size_t)t->columns, sizeof *l.width, "a table", NULL);
    if (!l.cells || !l.width) out_of_memory();
    const char *s = t->cells.data;
    for (int i = 0; i < t->n; i++, s += strlen(s) + 1) {
        size_t *width = &l.width[i % t->columns], w = printed_width(&l, s);
        l.cells[i] = s;
        if (w > *width) *width = w;
    }
    return l;
}

static void layout_free(layout *l) {
    free(l->cells);
    free(l->width);
}

static void pad(em_buffer *out, size_t n, char c) {
    for (; n > 0; n--) em_buffer_append(out, &c, 1, NULL);
}

static void rule(const layout *l, int c, em_buffer *out) {
    bool right = c >= l->left;
    em_buffer_puts(out, "|");
    pad(out, l->width[c] + 2 - right, '-');
    if (right) em_buffer_puts(out, ":");
}

static void markdown_cell(const layout *l, int row, int c, em_buffer *out) {
    const char *s = l->cells[row * l->columns + c];
    size_t gap = l->width[c] - printed_width(l, s);
    em_buffer_puts(out, "| ");
    if (c >= l->left) pad(out, gap, ' ');
    put_markdown(out, l->face, s, strlen(s), true);
    if (c < l->left) pad(out, gap, ' ');
    em_buffer_puts(out, " ");
}

/* The left columns and those of [from, to). */
static void markdown_columns(const layout *l, int from, int to, em_buffer *out) {
    for (int row = 0; row < l->n / l->columns; row++) {
        for (int c = 0; c < l->left; c++) markdown_cell(l, row, c, out);
        for (int c = from; c < to; c++) markdown_cell(l, row, c, out);
        em_buffer_puts(out, "|\n");
        if (row > 0) continue;
        for (int c = 0; c < l->left; c++) rule(l, c, out);
        for (int c = from; c < to; c++) rule(l, c, out);
        em_buffer_puts(out, "|\n");
    }
    em_buffer_puts(out, "\n");
}

/* The end of as many columns from `from` on as fit beside the left ones; at least one. */
static int columns_that_fit(const layout *l, int from) {
    size_t width = 1;
    for (int c = 0; c < l->left; c++) width += l->width[c] + 3;
    int to = from;
    for (; to < l->columns; to++) {
        width += l->width[to] + 3;
        if (to > from && width > WIDTH && l->face == EM_FACE_PLAIN) break;
    }
    return to;
}

static void markdown_table(const em_table *t, em_face face, em_buffer *out) {
    layout l = lay_out(t, face);
    int parts = 0, from, to;
    for (from = l.left; from < l.columns; from = columns_that_fit(&l, from)) parts++;
    if (parts == 0) markdown_columns(&l, l.left, l.left, out);
    for (from = l.left; from<l.columns; from = to, parts -= parts> 1) { /* no part of one column
                                                                           beside one of six */
        int even = from + (l.columns - from + parts - 1) / parts;
        to = columns_that_fit(&l, from);
        if (even < to) to = even;
        markdown_columns(&l, from, to, out);
    }
    layout_free(&l);
}

static void html_table(const em_table *t, em_buffer *out) {
    const char *s = t->cells.data;
    em_buffer_puts(out, "<div class=\"scroll\"><table>\n");
    for (int i = 0; i < t->n; i++, s += strlen(s) + 1) {
        int c = i % t->columns, row = i / t->columns;
        const char *tag = row == 0 ? "th" : "td";
        if (c == 0)
            em_buffer_puts(out, row == 0 ? "<thead><tr>" : row == 1 ? "<tbody>\n<tr>" : "<tr>");
        em_buffer_printf(out, "<%s%s>", tag, c < t->left ? " class=\"t\"" : "");
        em_put_escaped(out, s);
        em_buffer_printf(out, "</%s>", tag);
        if (c == t->columns - 1) em_buffer_puts(out, row == 0 ? "</tr></thead>\n" : "</tr>\n");
    }
    em_buffer_puts(out, t->n > t->columns ? "</tbody></table></div>\n" : "</table></div>\n");
}

void em_page_table(em_page *p, em_table *t) {
    em_page_end_list(p);
    if (p->face == EM_FACE_HTML) html_table(t, p->out);
    else markdown_table(t, p->face, p->out);
    em_table_free(t);
}
