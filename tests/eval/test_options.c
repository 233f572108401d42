/* The command line: what it accepts, what it refuses and in which words, and its help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/settings/options.h"

static em_settings owned; /* what the last call's settings own, freed after each test */

static int free_owned(void **state) {
    em_settings_free(&owned);
    return 0;
}

/* Splits at spaces; the words live until the next call. */
static bool parse(const char *line, em_settings *s, em_error *err) {
    static char text[512];
    static char *argv[64];
    int argc = 0;
    free_owned(NULL);
    snprintf(text, sizeof text, "evalmask %s", line);
    for (char *w = strtok(text, " "); w; w = strtok(NULL, " ")) argv[argc++] = w;
    em_error_init(err);
    bool good = em_options_parse(argc, argv, s, err);
    owned = (em_settings){.given = s->given, .experiment = s->experiment};
    return good;
}

static void defaults(void **state) {
    em_settings s;
    em_error err;
    assert_true(parse("--model m.bin", &s, &err));
    assert_int_equal(s.command, EM_RUN);
    assert_string_equal(s.models.first.path, "m.bin");
    assert_null(s.models.first.name);
    assert_int_equal(s.protocol.n_masks, 1);
    assert_string_equal(s.protocol.masks[0].name, "doc");
    assert_string_equal(s.protocol.labels[0]->name, "unshifted");
    assert_int_equal(s.protocol.batch, 8);
    assert_int_equal(s.protocol.n_row_tokens, 0);
    assert_true(s.protocol.tail == EM_TAIL_PAD && s.protocol.boundary == EM_BOUNDARY_KEEP &&
                s.protocol.window == EM_WINDOW_NEXT && s.protocol.pack == EM_PACK_STREAM);
    assert_string_equal(s.data.group_by, "meta.pile_set_name");
    assert_int_equal(s.data.zstd_window, 27);
}

static void lists_names_and_forms(void **state) {
    em_settings s;
    em_error err;
    assert_true(parse("--model=base=a.bin --mask doc,window:16,doc --labels shifted -T512 -B 3 "
                      "--data w=x.jsonl --data y=z "
                      "--positions reset,continuous --memory 1.5G -o a.json -o b.md -",
                      &s, &err) == false);
    assert_non_null(strstr(err.text, "what is this?"));
    assert_true(parse("--model=base=a.bin --mask doc,window:16,doc --labels shifted,raw-shifted "
                      "-T512 -B 3 --data w=x.jsonl "
                      "--data y=z --positions reset,continuous --memory 1.5G -o a.json -o b.md",
                      &s, &err));
    assert_string_equal(s.models.first.name, "base");
    assert_string_equal(s.models.first.path, "a.bin");
    assert_int_equal(s.protocol.n_masks, 2);
    assert_int_equal(s.protocol.masks[1].parameter, 16);
    assert_int_equal(s.protocol.n_labels, 2);
    assert_int_equal(s.protocol.labels[0]->offset, 2);
    assert_int_equal(s.protocol.row_tokens[0], 512);
    assert_int_equal(s.protocol.batch, 3);
    assert_int_equal(s.data.n_sets, 2);
    assert_string_equal(s.data.sets[1].name, "y");
    assert_int_equal(s.protocol.n_positions, 2);
    assert_true(s.engine.memory == (size_t)3 << 29);
    assert_int_equal(s.output.n_files, 2);
}

static void a_path_with_an_equals_sign(void **state) {
    em_settings s;
    em_error err;
    assert_true(parse("--model /a=b/c.bin", &s, &err));
    assert_null(s.models.first.name);
    assert_string_equal(s.models.first.path, "/a=b/c.bin");
    assert_true(parse("--model m --mask regular --positions auto,reset", &s, &err));
}

#define NAME_OF_64 "a234567890123456789012345678901234567890123456789012345678901234"

static void refusals(void **state) {
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"--modle m", "did you mean --model?"},
        {"--frobnicate 3", "no such option; evalmask --help lists them"},
        {"--limit 3", "did you mean --max-docs?"},
        {"--batch_size 3", "did you mean --batch?"},
        {"--output_path=x", "did you mean --output?"},
        {"--max_docs 3", "did you mean --max-docs?"},
        {"tokenize --limit 3", "no such option; evalmask --help lists them"},
        {"--model m --device cuba", "there are auto, cpu, cuda; did you mean cuda?"},
        {"--model m --dtype fp16", "there are auto, f32, bf16, f16; did you mean "},
        {"--model m --tail no", "no such value; there are pad, drop"},
        {"frobnicate", "no such command"},
        {"--model", "--model wants a value"},
        {"--model m --mask tril", "there are regular, doc, window:W"},
        {"--model m --mask window", "window:W"},
        {"--model m --mask window:0", "at least 1"},
        {"--model m --mask window:4x", "at least 1"},
        {"--model m --mask doc:3", "takes no number"},
        {"--model m --mask doc,", "no such mask"},
        {"--model m --labels next", "there are unshifted, shifted"},
        {"--model m -T 1", "-T 1: give a whole number from 2"},
        {"--model m -T 99999999999999999999", "-T 99999999999999999999"},
        {"--model m -T 8..limit,16..limit", "-T: 8..limit and 16..limit; say one of the two"},
        {"--model m -T 8..limit -T 16..limit", "say one of the two"},
        {"--model m -T 8..limit,16", "8..limit stands alone"},
        {"--model m -T 8,16,", "give a whole number from 2"},
        {"--model m --depth 0,,1", "give a whole number from 0"},
        {"--model m --memory 4Q", "--memory 4Q: give a size"},
        {"--model m --device gpu", "there are auto, cpu, cuda"},
        {"--model m --device cuda:x", "--device cuda:N"},
        {"--model m --dtype int8", "there are auto, f32, bf16"},
        {"--model m --positions reset,auto", "under doc, auto is"},
        {"--model m --mask doc,regular --positions auto,continuous", "under regular, auto is"},
        {"--model m --data " NAME_OF_64 "=x", "at most 63 bytes"},
        {"--model " NAME_OF_64 "=x", "at most 63 bytes"},
        {"--model m --tail chop", "there are pad, drop"},
        {"--model m --quiet=yes", "takes no value"},
        {"--model m --no-special", "does not belong to evalmask"},
        {"audit -o x.json", "does not belong to evalmask audit"},
        {"--mask doc", "which model?"},
        {"convert a", "convert wants two paths"},
        {"tokenize a.jsonl", "tokenize wants --tokenizer"},
        {"inspect --data x", "inspect wants --model"},
        {"help nothing", "no such command"},
        {"--model m --mask doc,doc@shifted", "say one of the two"},
        {"--model m --mask doc@", "no such label scheme"},
        {"--model m --mask doc@shifted --labels unshifted", "names its own labels"},
        {"inspect --model m --mask doc@shifted", "takes every mask with all of --labels"},
        {"audit --pack none,stream", "takes one of stream and none"},
        {"--config no-such-config", "no installed config of that name"},
        {"audit --config base-vs-instruct", "not for evalmask audit"},
        {"inspect --config base-vs-instruct", "is for evalmask, not for evalmask inspect"},
        {"--config packing-check --alpha 1", "does not belong to evalmask inspect"},
        {"--config base-vs-instruct --model m", "say --compare PATH or --adapter DIR"},
        {"--config base-vs-instruct --compare m", "want --model PATH too"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        em_settings s;
        em_error err;
        assert_false(parse(cases[i].line, &s, &err));
        assert_int_equal(err.status, EM_USAGE);
        if (!strstr(err.text, cases[i].says))
            fail_msg("\"%s\" says \"%s\", not \"%s\"", cases[i].line, err.text, cases[i].says);
    }
}

static void masks_with_labels_of_their_own(void **state) {
    em_settings s;
    em_error err;
    assert_true(
        parse("--model m --mask regular@unshifted,flip0@backward,flip0@unshifted", &s, &err));
    assert_int_equal(s.protocol.n_masks, 3);
    assert_int_equal(s.protocol.n_labels, 2);
    static const bool want[3][2] = {{true, false}, {false, true}, {true, false}};
    for (int m = 0; m < 3; m++)
        for (int l = 0; l < 2; l++)
            assert_int_equal(em_protocol_combine(&s.protocol, m, l), want[m][l]);
    assert_true(parse("--model m --mask doc,flip0@backward", &s, &err));
    assert_int_equal(s.protocol.n_labels, 2);
    assert_true(em_protocol_combine(&s.protocol, 0, 0) && !em_protocol_combine(&s.protocol, 0, 1) &&
                em_protocol_combine(&s.protocol, 1, 1));
}

/* Every value of a list counts. */
static void ranges_and_depths(void **state) {
    static const struct {
        const char *line;
        int n;
        int32_t lengths[8];
    } cases[] = {{"-T 128..1024", 4, {128, 256, 512, 1024}},
                 {"-T 100..500", 4, {100, 200, 400, 500}},
                 {"-T 7..7", 1, {7}},
                 {"-T 64,16..32 -T 24", 4, {16, 24, 32, 64}}};
    em_settings s;
    em_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[64];
        snprintf(line, sizeof line, "--model m %s", cases[i].line);
        assert_true(parse(line, &s, &err));
        assert_int_equal(s.protocol.n_row_tokens, cases[i].n);
        for (int k = 0; k < cases[i].n; k++)
            assert_int_equal(s.protocol.row_tokens[k], cases[i].lengths[k]);
    }
    assert_true(parse("--model m -T 8..limit,8..limit", &s, &err));
    assert_int_equal(s.protocol.row_tokens_from, 8);
    assert_true(parse("--model m --depth 0,1,all --depth 1", &s, &err));
    assert_true(s.models.all_depths && s.models.n_depths == 2 && s.models.depths[0] == 0 &&
                s.models.depths[1] == 1);
}

/* Spaces around the commas of a list are no part of its values; what is empty without them is
 * refused. */
static void lists_with_spaces(void **state) {
    char mask[] = "doc , window:16@shifted", labels[] = " unshifted, shifted ", depth[] = "0, all",
         length[] = "64, 16..32", alpha[] = " -1:1:1 , 2", empty[] = "doc, ";
    char *argv[] = {"evalmask", "--model", "m",  "--mask", mask, "--labels", labels,
                    "--depth",  depth,     "-T", length,   "-B", "3"};
    em_error err = EM_ERROR_INIT;
    em_settings s;
    assert_true(em_options_parse(13, argv, &s, &err));
    assert_int_equal(s.protocol.n_masks, 2);
    assert_string_equal(s.protocol.masks[0].name, "doc");
    assert_int_equal(s.protocol.n_labels, 2);
    assert_true(s.models.all_depths && s.models.n_depths == 1);
    assert_int_equal(s.protocol.n_row_tokens, 3);
    em_settings_free(&s);
    em_alphas a = {0};
    assert_true(em_alphas_parse(alpha, &a, &err));
    assert_int_equal(a.n, 4);
    char *bad[] = {"evalmask", "--model", "m", "--mask", empty};
    assert_false(em_options_parse(5, bad, &s, &err));
    assert_non_null(strstr(err.text, "no such mask"));
    em_settings_free(&s);
}

static void packings(void **state) {
    em_settings s;
    em_error err;
    assert_true(parse("--model m --pack none,stream,none", &s, &err));
    assert_int_equal(s.protocol.n_packs, 2);
    assert_true(s.protocol.pack == EM_PACK_NONE && s.protocol.packs[1] == EM_PACK_STREAM);
}

static void a_config_and_what_overrides_it(void **state) {
    em_settings s;
    em_error err;
    assert_true(parse("--config base-vs-instruct --mask full --max-docs 3", &s, &err));
    assert_int_equal(s.command, EM_RUN);
    assert_int_equal(s.protocol.n_masks, 1);
    assert_string_equal(s.protocol.masks[0].name, "full");
    assert_int_equal(s.data.max_docs, 3);
    assert_int_equal(s.protocol.labels[0]->offset, 2);
    assert_true(s.protocol.window == EM_WINDOW_INSIDE && s.protocol.n_packs == 2 &&
                s.models.bundled && s.models.n_compare == 1);
    assert_non_null(strstr(s.models.first.path, "base.bin"));
    assert_true(parse("--config base-vs-instruct --model a --compare b -B 3", &s, &err));
    assert_true(!s.models.bundled && s.models.n_compare == 1 && s.protocol.batch == 3);
    assert_string_equal(s.models.first.path, "a");
    assert_true(parse("--config packing-check", &s, &err));
    assert_int_equal(s.command, EM_INSPECT);
}

static void help_fits_80_columns(void **state) {
    static const em_command all[] = {EM_RUN, EM_INSPECT, EM_AUDIT, EM_CONVERT, EM_TOKENIZE};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *text = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        em_options_help(f, all[i]);
        fclose(f);
        assert_non_null(strstr(text, "Examples:"));
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            if (strlen(line) > 80) fail_msg("%zu columns: %s", strlen(line), line);
        free(text);
    }
}

static void help_and_version(void **state) {
    em_settings s;
    em_error err;
    assert_true(parse("", &s, &err));
    assert_int_equal(s.command, EM_HELP);
    assert_true(parse("audit --help", &s, &err));
    assert_int_equal(s.help_for, EM_AUDIT);
    assert_true(parse("help convert", &s, &err));
    assert_int_equal(s.help_for, EM_CONVERT);
    assert_true(parse("help --man", &s, &err));
    assert_true(s.help_as_man);
    assert_true(parse("--version", &s, &err));
    assert_int_equal(s.command, EM_VERSION_COMMAND);
}

/* What a journal compares: sorted by name, each option's values in their order, only what moves
 * figures or outputs. */
static void what_was_given(void **state) {
    em_settings s;
    em_error err;
    assert_true(parse("--model m.bin --labels shifted --threads 3 --data b --mask doc,regular "
                      "--data a -q --journal j --memory 4G "
                      "--skip-bad-records -T 64,32 -o r.json",
                      &s, &err));
    assert_string_equal(s.given.data,
                        "--data\t\"b\"\n--data\t\"a\"\n--labels\t\"shifted\"\n--mask\t\"doc,"
                        "regular\"\n--model\t\"m.bin\"\n"
                        "--output\t\"r.json\"\n--seq-len\t\"64,32\"\n--skip-bad-records\t\n");
}

#define TEST(name) cmocka_unit_test_teardown(name, free_owned)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(defaults),
                                       TEST(lists_names_and_forms),
                                       TEST(a_path_with_an_equals_sign),
                                       TEST(refusals),
                                       TEST(masks_with_labels_of_their_own),
                                       TEST(ranges_and_depths),
                                       TEST(lists_with_spaces),
                                       TEST(packings),
                                       TEST(a_config_and_what_overrides_it),
                                       TEST(help_fits_80_columns),
                                       TEST(help_and_version),
                                       TEST(what_was_given)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
