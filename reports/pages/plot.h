/* Plots as inline SVG: readable in both colour schemes, in print, and by those who do not tell the
 * colours apart (each series has its own marker and dash too). No script: what a mark stands for is
 * its SVG <title>. */
#ifndef EM_REPORTS_PLOT_H
#define EM_REPORTS_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buffer.h"

enum { EM_MAX_SERIES = 8 }; /* as many as can be told apart */

typedef struct em_point {
    double x, y, low, high; /* low, high: an interval of y; NaN: none */
    char *title;            /* owned; NULL: made from the series' label, x and y */
} em_point;

typedef struct em_series {
    char *label;      /* owned */
    em_point *points; /* owned */
    size_t n, capacity;
} em_series;

typedef struct em_plot {
    const char *title, *x_label, *y_label;
    bool log_x;           /* x > 0 */
    bool ticks_at_points; /* of x */
    bool zero;            /* y holds 0, with a line there */
    bool diagonal;        /* x and y share one range, with the line x = y; points are not joined */
    em_series series[EM_MAX_SERIES];
    int n, left_out; /* series there are, series that no longer fitted */
} em_plot;

/* A new series, owned by the plot; label is copied. NULL where the plot is full: the caller's
 * points are left out, and the plot says so. Where memory is out the program ends with exit code 4,
 * here and below. */
em_series *em_plot_series(em_plot *plot, const char *label);
/* Adds a point and takes its title; one that is not finite, or has no room in memory, is left out.
 */
void em_series_add(em_series *s, em_point point);
/* Appends a <figure> and frees the series; nothing where there is no point. */
void em_plot_print(em_plot *plot, em_buffer *out);
/* Frees the series of a plot that is not printed. */
void em_plot_free(em_plot *plot);

/* Rows of named categories, [n_names], with a mark for each series: x is the row's number, y the
 * value. Appends a <figure> and frees the series; nothing where there is no point. */
void em_plot_print_rows(em_plot *plot, const char *const *names, int n_names, em_buffer *out);

#endif
