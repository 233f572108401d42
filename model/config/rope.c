#include "model/config/rope.h"

#include <math.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

int em_rope_dim(const em_rope_config *c, int head_dim) { return (int)(head_dim * c->partial); }

static float plain(const em_rope_config *c, int dim, int j) {
    return 1.0f / powf((float)c->theta, (float)(2 * j) / (float)dim);
}

/* Llama 3.1: long wavelengths are stretched by factor, short ones stay, the middle is blended. */
static float llama3(const em_rope_config *c, float f) {
    float wavelength = 1.0f / f * (float)(2 * M_PI);
    if (wavelength < (float)(c->original / c->high_freq)) return f;
    if (wavelength > (float)(c->original / c->low_freq)) return f / (float)c->factor;
    float smooth = (1.0f / wavelength * (float)c->original - (float)c->low_freq) /
                   (float)(c->high_freq - c->low_freq);
    return (1.0f - smooth) * f / (float)c->factor + smooth * f;
}

/* YaRN (arXiv 2309.00071): the dimension that turns `rotations` times over the original length. */
static double correction_dim(const em_rope_config *c, double rotations, int dim) {
    return dim * log(c->original / (rotations * 2 * M_PI)) / (2 * log(c->theta));
}

static void yarn_range(const em_rope_config *c, int dim, double *low, double *high) {
    *low = correction_dim(c, c->beta_fast, dim);
    *high = correction_dim(c, c->beta_slow, dim);
    if (c->truncate) {
        *low = floor(*low);
        *high = ceil(*high);
    }
    *low = fmax(*low, 0);
    *high = fmin(*high, dim - 1);
    if (*low == *high) *high += 0.001; /* as transformers: no division by zero */
}

static float yarn(const em_rope_config *c, int dim, int j) {
    double low, high;
    yarn_range(c, dim, &low, &high);
    float position = powf((float)c->theta, (float)(2 * j) / (float)dim);
    float ramp = ((float)j - (float)low) / (float)(high - low);
    float keep = 1.0f - fminf(fmaxf(ramp, 0.0f), 1.0f);
    return 1.0f / ((float)c->factor * position) * (1.0f - keep) + 1.0f / position * keep;
}

static double mscale(double scale, double m) {
    return scale <= 1 ? 1.0 : 0.1 * m * log(scale) + 1.0;
}

static double yarn_scale(const em_rope_config *c) {
    if (c->attention_factor > 0) return c->attention_factor;
    if (c->mscale != 0 && c->mscale_all_dim != 0)
        return mscale(c->factor, c->mscale) / mscale(c->factor, c->mscale_all_dim);
    return mscale(c->factor, 1);
}

/* The theta of longrope is stretched by the pair's factor; cos and sin by the two lengths' ratio.
 */
static float stretched(const em_rope_config *c, int dim, int j) {
    float position = powf((float)c->theta, (float)(2 * j) / (float)dim);
    return 1.0f / ((float)c->factors[j] * position);
}

static double long_scale(const em_rope_config *c) {
    double factor = c->factor > 0 ? c->factor : c->longest / c->original;
    if (c->attention_factor > 0) return c->attention_factor;
    return factor <= 1 ? 1 : sqrt(1 + log(factor) / log(c->original));
}

float em_rope_frequencies(const em_rope_config *c, int dim, float *inv_freq) {
    for (int j = 0; j < dim / 2; j++) switch (c->type) {
        case EM_ROPE_DEFAULT: inv_freq[j] = plain(c, dim, j); break;
        case EM_ROPE_LINEAR: inv_freq[j] = plain(c, dim, j) / (float)c->factor; break;
        case EM_ROPE_LLAMA3: inv_freq[j] = llama3(c, plain(c, dim, j)); break;
        case EM_ROPE_DIVIDED: inv_freq[j] = plain(c, dim, j) / (float)c->factors[j]; break;
        case EM_ROPE_YARN: inv_freq[j] = yarn(c, dim, j); break;
        case EM_ROPE_LONG: inv_freq[j] = stretched(c, dim, j); break;
        }
    return c->type == EM_ROPE_YARN   ? (float)yarn_scale(c)
           : c->type == EM_ROPE_LONG ? (float)long_scale(c)
                                     : 1.0f;
}
