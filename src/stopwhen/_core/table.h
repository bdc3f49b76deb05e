/* A table from one address to another. */
#ifndef STOPWHEN_TABLE_H
#define STOPWHEN_TABLE_H

#include "compat.h"

typedef struct {
    const void *key; /* NULL for an empty place. Never followed. */
    void *value;     /* Never NULL where there is a key. */
} TablePlace;

typedef struct {
    TablePlace *places;
    Py_ssize_t capacity; /* 0 or a power of two. */
    Py_ssize_t count;
} Table;

static inline size_t
table_home(const Table *table, const void *key)
{
    return (((size_t)key >> 4) * (size_t)0x9E3779B97F4A7C15u >> 7) & ((size_t)table->capacity - 1);
}

/* Return what `key` stands for; NULL for nothing. */
static inline void *
table_find(const Table *table, const void *key)
{
    if (table->count == 0) {
        return NULL;
    }
    for (size_t i = table_home(table, key);; i = (i + 1) & ((size_t)table->capacity - 1)) {
        if (table->places[i].key == key || table->places[i].key == NULL) {
            return table->places[i].value;
        }
    }
}

/* Let `key`, which is not in the table, stand for `value`; -1 with an exception set. */
int table_put(Table *table, const void *key, void *value);

/* Take `key` out and return what it stood for; NULL for nothing. */
void *table_take(Table *table, const void *key);

/* Return the first value at or behind place *i, which is moved on; NULL when there is none. Nothing may be put or taken
 * between the calls of one walk. */
static inline void *
table_next(const Table *table, Py_ssize_t *i)
{
    while (*i < table->capacity) {
        TablePlace *place = &table->places[(*i)++];
        if (place->key != NULL) {
            return place->value;
        }
    }
    return NULL;
}

void table_free(Table *table);

#endif
