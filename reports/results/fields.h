/* The fields of the results, one row of one table each (fields.c): results.json is written and read
 * by these rows, the CSV takes its lines from them, and the JSON Schema is made of them. */
#ifndef EM_REPORTS_FIELDS_H
#define EM_REPORTS_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "reports/results/results.h"

typedef enum em_field_kind {
    EM_TEXT,    /* char [size] */
    EM_STRING,  /* char *, owned by the object */
    EM_NUMBER,  /* double; what is not finite is null */
    EM_COUNT,   /* int64_t, from 0 */
    EM_WHOLE,   /* int or int32_t */
    EM_FLAG,    /* bool */
    EM_CHOICE,  /* bool, or an enum of two: one of `words` */
    EM_DEPTH,   /* int, a number of layers; EM_NO_DEPTH is null */
    EM_FIGURE,  /* a double made from other members by `get`, and back by `set` */
    EM_OBJECT,  /* an object with the fields of `inner`, whose struct lies at offset */
    EM_INLINE,  /* no object of its own: the fields of `inner` in place, whose struct lies at offset
                 */
    EM_ARRAY,   /* objects of `inner`: a pointer to [count] structs of `element` bytes, owned */
    EM_STRINGS, /* char **, [count], owned */
    EM_MAP      /* em_key_value *, [count], owned: an object of texts */
} em_field_kind;

enum {                    /* flags of a field */
       EM_REQUIRED = 1,   /* a file without it is refused; else it is NaN, 0, "" or none */
       EM_OMIT_EMPTY = 2, /* not written where it is "", false or none */
       EM_OR_NULL = 4,    /* written as null where `there` says that it is not */
       EM_NEW_LINE = 8,   /* of the file, not of its meaning: begins a line */
       EM_GAP = 16        /* begins a line after a blank one */
};

/* Where a field stands in the CSV: nowhere (0), in the columns that say of what a figure is, or as
 * a line of its own, the lines of an object in the order of these numbers from 1, of one number in
 * that of the table. */
enum { EM_CSV_KEY = -1, EM_CSV_LAST = 7 };

typedef struct em_object em_object;

typedef struct em_field {
    const char *key; /* in results.json; NULL: in the CSV alone */
    em_field_kind kind;
    size_t offset, size; /* of the member */
    int flags;
    int csv;
    const char *about; /* what it is, with its unit: the schema's description */

    /* What few fields have. */
    const char *column; /* in the CSV, where it is not called as in the file: the column or the
                         * figure's name; of objects and arrays what `kind` or `part` holds, NULL:
                         * their lines are the outer object's */
    bool (*wanted)(const void *object); /* whether it is looked for on reading, after the fields
                                         * without conditions */
    bool (*shown)(const void *object);  /* whether it is written */
    size_t there;                       /* 1 + offset of a bool: whether it is there at all */
    double (*get)(const void *object);
    /* Absent: NaN. Returns what is wrong with the value, or NULL. */
    const char *(*set)(void *object, double value);
    const char *words[2];
    const em_object *inner;
    size_t count, element; /* offset of an int; bytes */
    int capacity;          /* of an array that lies in the struct; 0: behind a pointer */
    const char *too_many,
        *none; /* what is wrong with more than fit, and with none; NULL: nothing */
} em_field;

struct em_object {
    const em_field *fields;
    size_t n;
    /* After reading: completes the object, or returns what is wrong with field *key; else NULL. */
    const char *(*finish)(void *object, const char **key);
};

/* results.json as a whole: the results, and what the file adds up for its readers. */
typedef struct em_results_file {
    em_results r;
    em_data_totals data; /* of all data sets, each document counted once */
} em_results_file;

extern const em_object em_results_fields; /* of em_results_file */
extern const em_field em_gates_field;     /* of em_results: its gates */

/* The member of object that f stands for. */
static inline void *em_field_at(const em_field *f, const void *object) {
    return (char *)object + f->offset;
}
/* Whether the bool that says whether f is there does not say no. */
bool em_field_there(const em_field *f, const void *object);
/* Whether f is written: its condition holds, and it is not left out as empty. A field that is not
 * there is written as null or left out, as its flags say. */
bool em_field_shown(const em_field *f, const void *object);
/* The elements of an array, strings or map, [*n]. */
void *em_field_elements(const em_field *f, const void *object, int *n);
/* The index into words of a choice; sets it. */
int em_field_choice(const em_field *f, const void *object);
/* Sets a field whose values are a list of words to word number `choice`. */
void em_field_choose(const em_field *f, void *object, int choice);

#endif
