/* What the reports for people are made of: headings, tables, lists, paragraphs. Sections
 * (reports/sections/sections.h) are written once and put these on a page, which is Markdown to be
 * read as plain text (80 columns), Markdown for GitHub, or HTML. */
#ifndef EM_REPORTS_PAGE_H
#define EM_REPORTS_PAGE_H

#include "common/buffer.h"
#include "reports/pages/table.h"

typedef enum em_face { EM_FACE_PLAIN, EM_FACE_GITHUB, EM_FACE_HTML } em_face;

/* How Markdown is to be read, as a setting. */
typedef enum em_markdown_style {
    EM_MARKDOWN_PLAIN, /* reads as plain text: 80 columns */
    EM_MARKDOWN_GITHUB /* alerts, folded parts, tables as wide as they are */
} em_markdown_style;

/* The face of a page in that style. */
em_face em_markdown_face(em_markdown_style style);

typedef struct em_page {
    em_face face;
    em_buffer *out; /* the caller's; HTML: what lies inside <main> */
    bool in_list;
} em_page;

/* Each of these appends to the page; formats are printf's, and their text is escaped as the face
 * wants it. Where memory is out the program ends with exit code 4. */

/* A heading; level 1 is the page's. Ends a list. */
void em_page_heading(em_page *p, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A paragraph; plain pages wrap it at 80 columns. Ends a list. */
void em_page_paragraph(em_page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One in which **words** are bold. */
void em_page_rich_paragraph(em_page *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Lines for fixed-width type; each ends with a line end. */
void em_page_code(em_page *p, const char *lines);
/* An item of a list, which the first one opens. */
void em_page_item(em_page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the list, where one is open. */
void em_page_end_list(em_page *p);
/* Sentences that a reader must see; a loud one says that the figures are not what they seem.
 * Nothing where n is 0. */
void em_page_notes(em_page *p, bool loud, const char *const *sentences, int n);
/* Prints and frees the table. Plain pages repeat the left columns where the figures do not fit
 * beside each other. */
void em_page_table(em_page *p, em_table *t);
/* Begins what is long and rarely read: folded under its summary where the face can. */
void em_page_fold(em_page *p, const char *summary);
/* Ends it; not nested. */
void em_page_unfold(em_page *p);

#endif
