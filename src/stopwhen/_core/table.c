/* A table from one address to another: open addressing, at most half full. */
#include "table.h"

static void
place(Table *table, const void *key, void *value)
{
    size_t i = table_home(table, key);
    while (table->places[i].key != NULL) {
        i = (i + 1) & ((size_t)table->capacity - 1);
    }
    table->places[i] = (TablePlace){key, value};
}

static int
make_room(Table *table)
{
    if (2 * (table->count + 1) <= table->capacity) {
        return 0;
    }
    Table larger = {.capacity = table->capacity == 0 ? 16 : 2 * table->capacity, .count = table->count};
    larger.places = PyMem_Calloc((size_t)larger.capacity, sizeof(TablePlace));
    if (larger.places == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < table->capacity; i++) {
        if (table->places[i].key != NULL) {
            place(&larger, table->places[i].key, table->places[i].value);
        }
    }
    PyMem_Free(table->places);
    *table = larger;
    return 0;
}

int
table_put(Table *table, const void *key, void *value)
{
    assert(key != NULL && value != NULL && table_find(table, key) == NULL);
    if (make_room(table) < 0) {
        return -1;
    }
    place(table, key, value);
    table->count++;
    return 0;
}

void *
table_take(Table *table, const void *key)
{
    void *value = table_find(table, key);
    if (value == NULL) {
        return NULL;
    }
    size_t mask = (size_t)table->capacity - 1;
    size_t i = table_home(table, key);
    while (table->places[i].key != key) {
        i = (i + 1) & mask;
    }
    table->places[i] = (TablePlace){NULL, NULL};
    table->count--;
    /* Entries behind it in the same run may have been displaced by it. */
    for (i = (i + 1) & mask; table->places[i].key != NULL; i = (i + 1) & mask) {
        TablePlace displaced = table->places[i];
        table->places[i] = (TablePlace){NULL, NULL};
        place(table, displaced.key, displaced.value);
    }
    return value;
}

void
table_free(Table *table)
{
    PyMem_Free(table->places);
    *table = (Table){NULL, 0, 0};
}
