#include "eval/inspect/picture.h"

#include <string.h>

enum { CELLS = 32 };
enum { SEEN = 1, LABEL = 2, LABEL_SEEN = 4 };

static const char *cell_text(uint8_t c) {
    if (c & LABEL_SEEN) return "XX";
    if (c & SEEN) return "██";
    return c & LABEL ? "··" : "░░";
}

static void mark_query(const em_picture *p, int32_t size, int32_t i, uint8_t cells[CELLS]) {
    if (p->lo[i] < p->hi[i])
        for (int32_t c = p->lo[i] / size; c <= (p->hi[i] - 1) / size; c++) cells[c] |= SEEN;
    int32_t label = i + p->offset;
    if (!p->labels || i < p->from || i >= p->to || label < 0 || label >= p->inputs) return;
    bool seen = label == i || (p->lo[i] <= label && label < p->hi[i]);
    cells[label / size] |= seen ? LABEL_SEEN : LABEL;
}

static void legend(const em_picture *p, int32_t size, em_buffer *out) {
    em_buffer_puts(out, "Rows are queries, columns are keys");
    if (size > 1) em_buffer_printf(out, ", %d tokens a cell", size);
    em_buffer_puts(out, "; █ visible, ░ not");
    if (p->labels)
        em_buffer_puts(out,
                       ",\nXX a label that its own position sees, ·· one that is hidden from it");
    em_buffer_puts(out, ".\n\n");
}

void em_picture_draw(const em_picture *p, em_buffer *out) {
    int32_t size = (p->inputs + CELLS - 1) / CELLS, n = (p->inputs + size - 1) / size;
    legend(p, size, out);
    em_buffer_puts(out, "```\n");
    for (int32_t row = 0; row < n; row++) {
        uint8_t cells[CELLS] = {0};
        for (int32_t i = row * size; i < (row + 1) * size && i < p->inputs; i++)
            mark_query(p, size, i, cells);
        em_buffer_printf(out, "%8d ", row * size);
        for (int32_t c = 0; c < n; c++) em_buffer_puts(out, cell_text(cells[c]));
        em_buffer_puts(out, "\n");
    }
    em_buffer_puts(out, "```\n");
}
