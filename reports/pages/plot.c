#include "reports/pages/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "reports/pages/escape.h"
#include "reports/pages/page.h"

/* Of the SVG's own coordinate system. */
enum {
    WIDTH = 480,
    HEIGHT = 300,
    LEFT = 58,
    RIGHT = 14,
    TOP = 12,
    BOTTOM = 46,
    ROW = 20,
    NAMES = 132,
    MAX_TICKS = 16
};

typedef struct range {
    double low, high;
} range;

typedef struct axis {
    range values;
    double from, to;
    bool log;
} axis; /* from, to: coordinates of low and high */

typedef struct ticks {
    double at[MAX_TICKS];
    int n, decimals;
} ticks;

static double at(const axis *a, double value) {
    double low = a->values.low, high = a->values.high, v = value;
    if (a->log) low = log(low), high = log(high), v = log(v);
    return a->from + (v - low) / (high - low) * (a->to - a->from);
}

/* ---- series ---- */

em_series *em_plot_series(em_plot *plot, const char *label) {
    if (plot->n == EM_MAX_SERIES) return plot->left_out++, NULL;
    em_series *s = &plot->series[plot->n++];
    em_buffer copy = {0};
    em_buffer_puts(&copy, label);
    *s = (em_series){.label = copy.data};
    return s;
}

void em_series_add(em_series *s, em_point point) {
    if (!isfinite(point.x) || !isfinite(point.y)) {
        free(point.title);
        return;
    }
    if (!em_grow(&s->points, &s->capacity, s->n + 1, sizeof point, "a plot", NULL)) {
        fputs("evalmask: out of memory while drawing a plot\n", stderr);
        exit(EM_MACHINE);
    }
    s->points[s->n++] = point;
}

void em_plot_free(em_plot *plot) {
    for (int i = 0; i < plot->n; i++) {
        em_series *s = &plot->series[i];
        for (size_t k = 0; k < s->n; k++) free(s->points[k].title);
        free(s->points);
        free(s->label);
    }
    plot->n = plot->left_out = 0;
}

static size_t points(const em_plot *plot) {
    size_t n = 0;
    for (int i = 0; i < plot->n; i++) n += plot->series[i].n;
    return n;
}

/* ---- ranges and ticks ---- */

static void widen(range *r, double value) {
    if (!isfinite(value)) return;
    if (value < r->low) r->low = value;
    if (value > r->high) r->high = value;
}

static range range_of(const em_plot *plot, bool y) {
    range r = {INFINITY, -INFINITY};
    for (int i = 0; i < plot->n; i++)
        for (size_t k = 0; k < plot->series[i].n; k++) {
            const em_point *p = &plot->series[i].points[k];
            widen(&r, y ? p->y : p->x);
            if (y) widen(&r, p->low), widen(&r, p->high);
        }
    if (y && plot->zero) widen(&r, 0);
    return r;
}

/* Room at both ends; a single value gets some around it. */
static range padded(range r, bool log_scale) {
    if (log_scale) {
        double factor = r.high > r.low ? pow(r.high / r.low, 0.04) : 2;
        return (range){r.low / factor, r.high * factor};
    }
    double pad = r.high > r.low     ? 0.06 * (r.high - r.low)
                 : fabs(r.high) > 0 ? 0.05 * fabs(r.high)
                                    : 1;
    return (range){r.low - pad, r.high + pad};
}

/* Steps of 1, 2 or 5 times a power of ten; some six of them. */
static ticks linear_ticks(range r) {
    double rough = (r.high - r.low) / 6, power = pow(10, floor(log10(rough))), f = rough / power;
    double step = (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10) * power;
    ticks t = {.decimals = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9)};
    for (double k = ceil(r.low / step); k * step <= r.high && t.n < MAX_TICKS; k++)
        t.at[t.n++] = k * step;
    return t;
}

static ticks log_ticks(range r) {
    ticks t = {0};
    int least = (int)floor(log10(r.low)), most = (int)ceil(log10(r.high)),
        every = (most - least) / (MAX_TICKS - 2) + 1;
    for (int e = least; e <= most && t.n < MAX_TICKS; e += every)
        if (pow(10, e) >= r.low && pow(10, e) <= r.high) t.at[t.n++] = pow(10, e);
    return t.n > 1 ? t : linear_ticks(r);
}

/* The x of the points; every other one where they are many. */
static ticks point_ticks(const em_plot *plot) {
    ticks t = {0};
    const em_series *s = plot->series;
    for (int i = 1; i < plot->n; i++)
        if (plot->series[i].n > s->n) s = &plot->series[i];
    size_t every = s->n / 9 + 1;
    for (size_t k = 0; k < s->n && t.n < MAX_TICKS; k += every) {
        double x = s->points[k].x;
        for (int d = t.decimals; d < 4 && fabs(x * pow(10, d) - round(x * pow(10, d))) > 1e-9; d++)
            t.decimals = d + 1;
        t.at[t.n++] = x;
    }
    return t;
}

/* ---- drawing ---- */

static void put_text(em_buffer *out, double x, double y, const char *anchor, const char *text) {
    em_buffer_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    em_put_escaped(out, text);
    em_buffer_puts(out, "</text>");
}

static void put_line(em_buffer *out, const char *class, double x1, double y1, double x2,
                     double y2) {
    em_buffer_printf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                     class, x1, y1, x2, y2);
}

static void draw_y_axis(const em_plot *plot, const axis *x, const axis *y, em_buffer *out) {
    ticks t = linear_ticks(y->values);
    char text[32];
    for (int i = 0; i < t.n; i++) {
        double v = fabs(t.at[i]) < 1e-12 ? 0 : t.at[i], c = at(y, v);
        put_line(out, plot->zero && v == 0 ? "zero" : "grid", x->from, c, x->to, c);
        snprintf(text, sizeof text, "%.*f", t.decimals, v);
        put_text(out, x->from - 6, c + 4, "end", text);
    }
    em_buffer_printf(out,
                     "<text transform=\"translate(13 %.1f) rotate(-90)\" text-anchor=\"middle\">",
                     (y->from + y->to) / 2);
    em_put_escaped(out, plot->y_label);
    em_buffer_puts(out, "</text>\n");
}

static void draw_x_axis(const em_plot *plot, const axis *x, double bottom, double top,
                        em_buffer *out) {
    ticks t = plot->ticks_at_points ? point_ticks(plot)
              : x->log              ? log_ticks(x->values)
                                    : linear_ticks(x->values);
    char text[32];
    for (int i = 0; i < t.n; i++) {
        double v = fabs(t.at[i]) < 1e-12 ? 0 : t.at[i], c = at(x, v);
        put_line(out, "grid", c, bottom, c, top);
        snprintf(text, sizeof text, "%.*f", t.decimals, v);
        put_text(out, c, bottom + 15, "middle", text);
    }
    put_text(out, (x->from + x->to) / 2, bottom + 34, "middle", plot->x_label);
    em_buffer_puts(out, "\n");
}

/* Shapes in turn: circle, square, triangle, diamond; filled, then hollow. */
static void put_shape(em_buffer *out, int series, double x, double y, double r) {
    em_buffer_printf(out, "class=\"m s%d%s\" ", series, series >= 4 ? " hollow" : "");
    switch (series % 4) {
    case 0:
        em_buffer_printf(out, "d=\"M%.1f %.1fa%.1f %.1f 0 1 0 %.1f 0a%.1f %.1f 0 1 0 %.1f 0z\"",
                         x - r, y, r, r, 2 * r, r, r, -2 * r);
        break;
    case 1:
        em_buffer_printf(out, "d=\"M%.1f %.1fh%.1fv%.1fh%.1fz\"", x - r, y - r, 2 * r, 2 * r,
                         -2 * r);
        break;
    case 2:
        em_buffer_printf(out, "d=\"M%.1f %.1fl%.1f %.1fh%.1fz\"", x, y - 1.2 * r, 1.2 * r, 2.1 * r,
                         -2.4 * r);
        break;
    default:
        em_buffer_printf(out, "d=\"M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz\"", x, y - 1.4 * r,
                         1.4 * r, 1.4 * r, -1.4 * r, 1.4 * r, -1.4 * r, -1.4 * r);
    }
}

static void put_title(em_buffer *out, const em_series *s, const em_point *p) {
    char text[96];
    em_buffer_puts(out, "<title>");
    if (p->title) {
        em_put_escaped(out, p->title);
    } else {
        em_put_escaped(out, s->label);
        snprintf(text, sizeof text, " at %g: %.4f", p->x, p->y);
        em_buffer_puts(out, text);
        if (isfinite(p->low))
            em_buffer_printf(out, " (95 %% interval %.4f to %.4f)", p->low, p->high);
    }
    em_buffer_puts(out, "</title>");
}

static void put_mark(em_buffer *out, const em_series *s, int series, const em_point *p, double x,
                     double y, double r) {
    em_buffer_puts(out, "<path ");
    put_shape(out, series, x, y, r);
    em_buffer_puts(out, ">");
    put_title(out, s, p);
    em_buffer_puts(out, "</path>\n");
}

static void put_band(em_buffer *out, const em_series *s, int series, const axis *x, const axis *y) {
    size_t n = 0;
    for (size_t k = 0; k < s->n; k++)
        n += isfinite(s->points[k].low) && isfinite(s->points[k].high);
    if (n < 2) return;
    em_buffer_printf(out, "<path class=\"band s%d\" d=\"", series);
    for (size_t k = 0, first = 1; k < s->n; k++) {
        const em_point *p = &s->points[k];
        if (!isfinite(p->low) || !isfinite(p->high)) continue;
        em_buffer_printf(out, "%s%.1f %.1f", first ? "M" : "L", at(x, p->x), at(y, p->high));
        first = 0;
    }
    for (size_t k = s->n; k-- > 0;) {
        const em_point *p = &s->points[k];
        if (isfinite(p->low) && isfinite(p->high))
            em_buffer_printf(out, "L%.1f %.1f", at(x, p->x), at(y, p->low));
    }
    em_buffer_puts(out, "z\"/>\n");
}

static void put_whiskers(em_buffer *out, const em_series *s, int series, const axis *x,
                         const axis *y) {
    for (size_t k = 0; k < s->n; k++) {
        const em_point *p = &s->points[k];
        if (!isfinite(p->low) || !isfinite(p->high)) continue;
        double c = at(x, p->x);
        em_buffer_printf(out, "<path class=\"l s%d\" d=\"M%.1f %.1fV%.1f\"/>", series, c,
                         at(y, p->low), at(y, p->high));
    }
}

static void draw_series(const em_plot *plot, int i, const axis *x, const axis *y, em_buffer *out) {
    const em_series *s = &plot->series[i];
    if (!plot->diagonal) {
        put_band(out, s, i, x, y);
        em_buffer_printf(out, "<path class=\"l s%d\" d=\"", i);
        for (size_t k = 0; k < s->n; k++)
            em_buffer_printf(out, "%s%.1f %.1f", k ? "L" : "M", at(x, s->points[k].x),
                             at(y, s->points[k].y));
        em_buffer_puts(out, "\"/>\n");
        put_whiskers(out, s, i, x, y);
    }
    double r = plot->diagonal ? (s->n > 300 ? 2 : 3) : 3.4;
    for (size_t k = 0; k < s->n; k++) {
        const em_point *p = &s->points[k];
        put_mark(out, s, i, p, at(x, p->x), at(y, p->y), r);
    }
}

static void put_legend(const em_plot *plot, em_buffer *out) {
    if (plot->n > 1) em_buffer_puts(out, "<div class=\"legend\">");
    for (int i = 0; i < plot->n && plot->n > 1; i++) {
        em_buffer_printf(out,
                         "<span><svg width=\"26\" height=\"12\" aria-hidden=\"true\"><path "
                         "class=\"l s%d\" d=\"M0 6H26\"/><path ",
                         i);
        put_shape(out, i, 13, 6, 3.4);
        em_buffer_puts(out, "/></svg> ");
        em_put_escaped(out, plot->series[i].label);
        em_buffer_puts(out, "</span>");
    }
    if (plot->n > 1) em_buffer_puts(out, "</div>\n");
    if (plot->left_out)
        em_buffer_printf(out, "<p class=\"small\">%d more are in the tables.</p>\n",
                         plot->left_out);
}

static void begin(const em_plot *plot, int height, em_buffer *out) {
    em_buffer_puts(out, "<figure><figcaption>");
    em_put_escaped(out, plot->title);
    em_buffer_printf(out, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
                     WIDTH, height);
    em_put_escaped(out, plot->title);
    em_buffer_puts(out, "\">\n");
}

static void end(em_plot *plot, em_buffer *out) {
    em_buffer_puts(out, "</svg>\n");
    put_legend(plot, out);
    em_buffer_puts(out, "</figure>\n");
    em_plot_free(plot);
}

void em_plot_print(em_plot *plot, em_buffer *out) {
    if (points(plot) == 0) {
        em_plot_free(plot);
        return;
    }
    range rx = range_of(plot, false), ry = range_of(plot, true);
    if (plot->diagonal) rx = ry = (range){fmin(rx.low, ry.low), fmax(rx.high, ry.high)};
    axis x = {padded(rx, plot->log_x), LEFT, WIDTH - RIGHT, plot->log_x};
    axis y = {padded(ry, false), HEIGHT - BOTTOM, TOP, false};
    begin(plot, HEIGHT, out);
    draw_y_axis(plot, &x, &y, out);
    draw_x_axis(plot, &x, y.from, y.to, out);
    if (plot->diagonal) put_line(out, "zero", x.from, y.from, x.to, y.to);
    for (int i = 0; i < plot->n; i++) draw_series(plot, i, &x, &y, out);
    end(plot, out);
}

/* ---- rows ---- */

/* A name that fits beside the rows; the whole of it is its <title>. */
static void put_name(em_buffer *out, const char *name, double y) {
    enum { MOST = 20 };
    size_t n = 0, columns = 0;
    while (name[n] && columns < MOST) {
        n++;
        while (((unsigned char)name[n] & 0xc0) == 0x80) n++;
        columns++;
    }
    em_buffer_printf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\"><title>", NAMES - 8,
                     y + 4);
    em_put_escaped(out, name);
    em_buffer_puts(out, "</title>");
    em_put_escaped_n(out, name, n);
    em_buffer_puts(out, name[n] ? "…</text>\n" : "</text>\n");
}

static void row_marks(const em_plot *plot, const char *const *names, const axis *x,
                      em_buffer *out) {
    for (int i = 0; i < plot->n; i++)
        for (size_t k = 0; k < plot->series[i].n; k++) {
            em_point p = plot->series[i].points[k];
            int row = (int)p.x;
            em_buffer title = {0};
            em_buffer_printf(&title, "%s, %s: %.4f", names[row], plot->series[i].label, p.y);
            p.title = title.data;
            put_mark(out, &plot->series[i], i, &p, at(x, p.y), TOP + ROW * (row + 0.5), 4);
            em_buffer_free(&title);
        }
}

void em_plot_print_rows(em_plot *plot, const char *const *names, int n_names, em_buffer *out) {
    if (points(plot) == 0) {
        em_plot_free(plot);
        return;
    }
    int bottom = TOP + ROW * n_names;
    axis x = {padded(range_of(plot, true), false), NAMES, WIDTH - RIGHT, false};
    begin(plot, bottom + BOTTOM, out);
    draw_x_axis(plot, &x, bottom, TOP, out);
    if (plot->zero) put_line(out, "zero", at(&x, 0), bottom, at(&x, 0), TOP);
    for (int i = 0; i < n_names; i++) {
        put_line(out, "grid", NAMES, TOP + ROW * (i + 0.5), WIDTH - RIGHT, TOP + ROW * (i + 0.5));
        put_name(out, names[i], TOP + ROW * (i + 0.5));
    }
    row_marks(plot, names, &x, out);
    end(plot, out);
}
