/* Keeping the interpreter from storing items of lists by itself. */
#ifndef STOPWHEN_ITEM_STORES_H
#define STOPWHEN_ITEM_STORES_H

#include "state.h"

/* Instructions can be kept from it without events at them. */
#define HAS_CALM_STORES (PY_VERSION_HEX >= 0x030D0000)

/* calm_item_stores(on_doubt): from now on no instruction stores an item of a list by itself. `on_doubt()` is called once
 * that can no longer be had without events. Return whether it can be had. */
PyObject *item_stores_calm_all(PyObject *module, PyObject *on_doubt);

/* release_item_stores(): let them again. */
PyObject *item_stores_release_all(PyObject *module, PyObject *unused);

/* The events of `code` have changed. */
void item_stores_calm_again(PyCodeObject *code);

/* Others may have events at single instructions from now on. Sets no exception. */
void item_stores_doubt(void);

#endif
