#include "common/interval.h"

#include <math.h>

double em_student_point(double n) {
    const double z = 1.959963984540054, y = z * z; /* the normal point */
    double a = z * (y + 1) / 4, b = z * ((5 * y + 16) * y + 3) / 96,
           c = z * (((3 * y + 19) * y + 17) * y - 15) / 384,
           d = z * ((((79 * y + 776) * y + 1482) * y - 1920) * y - 945) / 92160;
    return z + (a + (b + (c + d / n) / n) / n) / n;
}

/* Of x_g = S_g - L N_g at L = centre + u: sum, sum of squares and of cubes. */
typedef struct moments {
    double sum, squares, cubes;
} moments;

static moments moments_at(const em_grouped *g, double u) {
    return (moments){g->x - u * g->total, g->xx - 2 * u * g->xn + u * u * g->nn,
                     g->xxx - 3 * u * g->xxn + 3 * u * u * g->xnn - u * u * u * g->nnn};
}

/* Hall's transform of the t of L = centre + u. */
static double transformed(const em_grouped *g, double u) {
    moments m = moments_at(g, u);
    double n = (double)g->n, mean = m.sum / n, squares = m.squares - m.sum * mean,
           variance = squares / (n - 1), t = m.sum / sqrt(n * variance),
           cubes = m.cubes / n - 3 * mean * m.squares / n + 2 * mean * mean * mean,
           k = cubes / (variance * sqrt(variance) * sqrt(n));
    return t + k * t * t / 3 + k * k * t * t * t / 27 + k / 6;
}

/* Where the transform leaves [-point, point], from `u`, the end by Student's t, on outwards: u
 * itself where it has done so there; NaN where it does not within a thousand steps. */
static double pushed(const em_grouped *g, double u, double step, double point) {
    if (!(fabs(transformed(g, u)) <= point)) return u;
    double inside = u, outside = u + step;
    for (int i = 0; fabs(transformed(g, outside)) <= point; i++) {
        if (i == 10) return NAN;
        step *= 2;
        inside = outside;
        outside = u + step;
    }
    for (int i = 0; i < 60; i++) {
        double middle = 0.5 * (inside + outside);
        if (fabs(transformed(g, middle)) <= point) inside = middle;
        else outside = middle;
    }
    return inside;
}

em_interval em_grouped_interval(const em_grouped *g) {
    const em_interval none = {NAN, NAN};
    double n = (double)g->n, effective = g->total * g->total / g->nn, mean = g->x / g->total;
    if (g->n < EM_INTERVAL_GROUPS || !(effective >= EM_INTERVAL_EFFECTIVE_GROUPS)) return none;
    double squares = moments_at(g, mean).squares;
    if (!isfinite(squares)) return none;
    if (squares <= 0) return (em_interval){g->centre + mean, g->centre + mean};
    /* Student's t is less than its point where a u² - 2 b u + c < 0. */
    double point = em_student_point(effective - 1), q = point * point / (n - 1),
           a = (1 + q) * g->total * g->total - q * n * g->nn,
           b = (1 + q) * g->x * g->total - q * n * g->xn, c = (1 + q) * g->x * g->x - q * n * g->xx,
           root = sqrt(fmax(b * b - a * c, 0));
    if (!(a > 0)) return none;
    double step = sqrt(n / (n - 1) * squares) / g->total;
    double low = pushed(g, (b - root) / a, -step, point),
           high = pushed(g, (b + root) / a, step, point);
    if (!isfinite(low) || !isfinite(high)) return none;
    return (em_interval){g->centre + low, g->centre + high};
}
