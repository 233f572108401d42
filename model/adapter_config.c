#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/adapter_config.h"

#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "model/config/config_reader.h"

#define MAX_RANK (1 << 20)

static em_config_reader reader_of(const em_adapter_config *c, em_error *err) {
    return (em_config_reader){c->root, c->source, err};
}

static const json_t *find(const em_adapter_config *c, const char *key) {
    const json_t *v = json_object_get(c->root, key);
    return json_is_null(v) ? NULL : v;
}

/* ---- what is known ---- */

/* Read here, or of no effect on a trained adapter. */
static const char *const known[] = {"peft_type",       "r",
                                    "lora_alpha",      "rank_pattern",
                                    "alpha_pattern",   "use_rslora",
                                    "fan_in_fan_out",  "target_modules",
                                    "exclude_modules", "layers_to_transform",
                                    "layers_pattern",  "bias",
                                    "lora_bias",       "init_lora_weights",
                                    "auto_mapping",    "base_model_name_or_path",
                                    "revision",        "task_type",
                                    "inference_mode",  "peft_version",
                                    "lora_dropout",    "loftq_config",
                                    "eva_config",      "corda_config",
                                    "lora_ga_config",  "qalora_group_size",
                                    "megatron_core",   "runtime_config"};

static bool is_known(const char *key) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i], key)) return true;
    return false;
}

/* null, false, "", [] and {} ask for nothing. */
static bool says_nothing(const json_t *v) {
    return json_is_null(v) || json_is_false(v) || (json_is_string(v) && !json_string_length(v)) ||
           (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
}

static bool refuse_unknown(const em_adapter_config *c, em_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach(
        c->root, key,
        value) if (!is_known(key) &&
                   !says_nothing(
                       value)) return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                                                 "%.80s is set, which is not supported; merge the "
                                                 "adapter into "
                                                 "its base model with PEFT and evaluate that",
                                                 key);
    return true;
}

static bool check_type(const em_adapter_config *c, em_error *err) {
    const char *type = json_string_value(find(c, "peft_type"));
    if (!type)
        return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                          "peft_type is missing: is this a PEFT adapter?");
    return !strcmp(type, "LORA") || em_fail_at(err, EM_INPUT, c->source, 0, -1,
                                               "peft_type %.80s is not supported; LORA is", type);
}

/* PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA move part of the base's weights into the adapter: over the
 * base as it is, theirs would be another model. */
static bool check_initialization(const em_adapter_config *c, em_error *err) {
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const json_t *v = find(c, "init_lora_weights");
    if (!v || json_is_boolean(v)) return true;
    const char *name = json_string_value(v);
    if (!name)
        return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                          "init_lora_weights is neither true, false nor a name");
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (!strcasecmp(name, harmless[i])) return true;
    return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                      "init_lora_weights %.80s changes the base model's weights too and is not "
                      "supported; save the adapter converted to a plain LoRA",
                      name);
}

static bool read_bias(em_adapter_config *c, em_error *err) {
    const json_t *v = find(c, "bias");
    const char *name = v ? json_string_value(v) : "none";
    if (!name || (strcmp(name, "none") && strcmp(name, "all") && strcmp(name, "lora_only")))
        return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                          "bias is %.80s; none, all and lora_only are supported",
                          name ? name : "no name");
    c->biases = strcmp(name, "none") != 0;
    return true;
}

/* ---- the shape of what the rules below read ---- */

static bool is_strings(const json_t *v) {
    bool good = json_is_array(v);
    for (size_t i = 0; i < json_array_size(v); i++)
        good = good && json_is_string(json_array_get(v, i));
    return good;
}

static bool check_names(const em_adapter_config *c, const char *key, em_error *err) {
    const json_t *v = find(c, key);
    return !v || json_is_string(v) || is_strings(v) ||
           em_fail_at(err, EM_INPUT, c->source, 0, -1,
                      "%s is neither a string nor a list of strings", key);
}

static bool check_layers(const em_adapter_config *c, em_error *err) {
    const json_t *v = find(c, "layers_to_transform");
    bool good = !v || json_is_integer(v) || json_is_array(v);
    for (size_t i = 0; i < json_array_size(v); i++)
        good = good && json_is_integer(json_array_get(v, i));
    if (!good)
        return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                          "layers_to_transform is neither a layer nor a list of layers");
    if (v && json_is_string(find(c, "target_modules")))
        return em_fail_at(
            err, EM_INPUT, c->source, 0, -1,
            "layers_to_transform does not go with a target_modules that is one string");
    return v || says_nothing(json_object_get(c->root, "layers_pattern")) ||
           !json_object_get(c->root, "layers_pattern") ||
           em_fail_at(err, EM_INPUT, c->source, 0, -1,
                      "layers_pattern does nothing without layers_to_transform");
}

static bool check_pattern(const em_adapter_config *c, const char *key, bool whole, em_error *err) {
    const json_t *v = find(c, key);
    const char *name;
    json_t *value;
    if (v && !json_is_object(v))
        return em_fail_at(err, EM_INPUT, c->source, 0, -1, "%s is no object", key);
    json_object_foreach((json_t *)v, name, value) {
        double x = json_number_value(value);
        if (!(whole ? json_is_integer(value) && x >= 1 && x <= MAX_RANK
                    : json_is_number(value) && isfinite(x)))
            return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                              "%s: the value of \"%.80s\" is no %s", key, name,
                              whole ? "rank of at least 1" : "number");
    }
    return true;
}

static bool read_numbers(em_adapter_config *c, em_error *err) {
    em_config_reader r = reader_of(c, err);
    bool fan_in_fan_out, lora_bias; /* checked only: the base and the adapter's tensors say it */
    c->rank = 8, c->alpha = 8;      /* LoraConfig's defaults */
    return em_read_int(&r, "r", 1, MAX_RANK, &c->rank) &&
           em_read_number(&r, "lora_alpha", &c->alpha) &&
           em_read_bool(&r, "use_rslora", &c->rslora) &&
           em_read_bool(&r, "fan_in_fan_out", &fan_in_fan_out) &&
           em_read_bool(&r, "lora_bias", &lora_bias) &&
           check_pattern(c, "rank_pattern", true, err) &&
           check_pattern(c, "alpha_pattern", false, err);
}

static bool check(em_adapter_config *c, em_error *err) {
    if (!json_is_object(c->root))
        return em_fail_at(err, EM_INPUT, c->source, 0, -1, "is no JSON object");
    if (!check_type(c, err) || !refuse_unknown(c, err) || !check_initialization(c, err) ||
        !read_bias(c, err) || !read_numbers(c, err))
        return false;
    if (!find(c, "target_modules"))
        return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                          "target_modules is missing: which modules does the adapter change?");
    return check_names(c, "target_modules", err) && check_names(c, "exclude_modules", err) &&
           check_names(c, "layers_pattern", err) && check_layers(c, err);
}

bool em_adapter_config_read(const char *source, const void *data, size_t size,
                            em_adapter_config *out, em_error *err) {
    json_error_t e;
    *out = (em_adapter_config){.source = source,
                               .root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &e)};
    if (!out->root)
        return em_fail_at(err, EM_INPUT, source, 0, e.position, "is no valid JSON: %s", e.text);
    if (check(out, err)) return true;
    em_adapter_config_free(out);
    return false;
}

void em_adapter_config_free(em_adapter_config *c) {
    json_decref(c->root);
    *c = (em_adapter_config){0};
}

/* ---- regular expressions, as Python's re takes them ---- */

typedef enum whole { FROM_START, FULL } whole; /* re.match, re.fullmatch */

/* number: of the group "idx" where the pattern has one and it took part, else unchanged; may be
 * NULL. */
static bool match(const em_adapter_config *c, const char *key, const char *pattern, whole how,
                  const char *text, bool *found, int64_t *number, em_error *err) {
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR message[128], *group = NULL;
    uint32_t anchors = PCRE2_ANCHORED | (how == FULL ? PCRE2_ENDANCHORED : 0);
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | anchors, &code, &at, NULL);
    pcre2_match_data *data = re ? pcre2_match_data_create_from_pattern(re, NULL) : NULL;
    if (re)
        code = data ? pcre2_match(re, (PCRE2_SPTR)text, strlen(text), 0, 0, data, NULL)
                    : PCRE2_ERROR_NOMEMORY;
    *found = re && code >= 0;
    if (*found && number && !pcre2_substring_get_byname(data, (PCRE2_SPTR) "idx", &group, &at))
        *number = strtoll((char *)group, NULL, 10);
    pcre2_substring_free(group);
    pcre2_match_data_free(data);
    bool good = re && (code >= 0 || code == PCRE2_ERROR_NOMATCH);
    pcre2_code_free(re);
    if (good) return true;
    pcre2_get_error_message(code, message, sizeof message);
    return em_fail_at(err, EM_INPUT, c->source, 0, -1,
                      "%s: the pattern %.80s cannot be matched: %s", key, pattern, (char *)message);
}

static char *pattern_text(const char *before, const char *middle, const char *after,
                          em_error *err) {
    char *text = NULL;
    if (asprintf(&text, "%s%s%s", before, middle, after) >= 0) return text;
    em_fail_memory(err, strlen(middle), "a pattern");
    return NULL;
}

/* ---- which modules ---- */

/* module is name, or ends with ".name". */
static bool ends_with(const char *module, const char *name) {
    size_t m = strlen(module), n = strlen(name);
    return m > n && module[m - n - 1] == '.' && !strcmp(module + m - n, name);
}

static bool in_list(const json_t *list, const char *module, bool whole_only) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!strcmp(module, name) || (!whole_only && ends_with(module, name))) return true;
    }
    return false;
}

/* A list of names, or one regular expression for the whole of the module's name. */
static bool in_names(const em_adapter_config *c, const char *key, const char *module, bool *out,
                     em_error *err) {
    const json_t *v = find(c, key);
    *out = false;
    if (!v || says_nothing(v)) return true;
    if (json_is_string(v)) return match(c, key, json_string_value(v), FULL, module, out, NULL, err);
    *out = in_list(v, module, false);
    return true;
}

/* The number of the module's layer by one of layers_pattern, or by where PEFT looks without one;
 * -1: none. */
static bool layer_of(const em_adapter_config *c, const char *module, int64_t *layer,
                     em_error *err) {
    const json_t *v = find(c, "layers_pattern");
    bool found = false, good = true;
    *layer = -1;
    if (!v || says_nothing(v))
        return match(c, "layers_pattern", ".*?\\.[^.]*\\.(?P<idx>\\d+)\\.", FROM_START, module,
                     &found, layer, err);
    size_t n = json_is_string(v) ? 1 : json_array_size(v);
    for (size_t i = 0; i < n && good && !found; i++) {
        const char *name = json_string_value(json_is_string(v) ? v : json_array_get(v, i));
        char *pattern = pattern_text("(?:^|.*?\\.)", name, "\\.(?P<idx>\\d+)\\.", err);
        good = pattern &&
               match(c, "layers_pattern", pattern, FROM_START, module, &found, layer, err);
        free(pattern);
    }
    return good;
}

static bool is_layer_wanted(const json_t *layers, int64_t layer) {
    if (json_is_integer(layers)) return json_integer_value(layers) == layer;
    for (size_t i = 0; i < json_array_size(layers); i++)
        if (json_integer_value(json_array_get(layers, i)) == layer) return true;
    return false;
}

/* layers_to_transform narrows what the list's endings found, but not a module that it names in
 * full. */
static bool in_layers(const em_adapter_config *c, const char *module, bool *out, em_error *err) {
    const json_t *layers = find(c, "layers_to_transform");
    int64_t layer;
    if (!*out || !layers || says_nothing(layers) ||
        in_list(find(c, "target_modules"), module, true))
        return true;
    if (!layer_of(c, module, &layer, err)) return false;
    *out = layer >= 0 && is_layer_wanted(layers, layer);
    return true;
}

static bool is_all_linear(const em_adapter_config *c) {
    const char *text = json_string_value(find(c, "target_modules"));
    return text && !strcasecmp(text, "all-linear");
}

bool em_adapter_config_targets(const em_adapter_config *c, const char *module, bool linear,
                               bool *out, em_error *err) {
    bool excluded;
    *out = false;
    if (!in_names(c, "exclude_modules", module, &excluded, err)) return false;
    if (excluded) return true;
    if (is_all_linear(c)) return *out = linear, true;
    return in_names(c, "target_modules", module, out, err) && in_layers(c, module, out, err);
}

/* ---- rank and scale ---- */

/* The value of the first key that matches the end of the module's name; NULL: none does. */
static bool by_pattern(const em_adapter_config *c, const char *key, const char *module,
                       const json_t **out, em_error *err) {
    const char *name;
    json_t *value;
    *out = NULL;
    json_object_foreach((json_t *)find(c, key), name, value) {
        bool found = false;
        char *pattern = pattern_text("(.*\\.)?(", name, ")$", err);
        bool good = pattern && match(c, key, pattern, FROM_START, module, &found, NULL, err);
        free(pattern);
        if (!good) return false;
        if (found) return *out = value, true;
    }
    return true;
}

bool em_adapter_config_rank(const em_adapter_config *c, const char *module, int64_t *rank,
                            double *scale, em_error *err) {
    const json_t *r, *alpha;
    if (!by_pattern(c, "rank_pattern", module, &r, err) ||
        !by_pattern(c, "alpha_pattern", module, &alpha, err))
        return false;
    *rank = r ? json_integer_value(r) : c->rank;
    double a = alpha ? json_number_value(alpha) : c->alpha;
    *scale = a / (c->rslora ? sqrt((double)*rank) : (double)*rank);
    return true;
}
