/* Content that is memory: what a buffer gives out. */
#ifndef STOPWHEN_MEMORY_H
#define STOPWHEN_MEMORY_H

#include "content.h"

/* All return 0 or 1, and -1 with an exception set; the two that compare never fail. */
int memory_keep(Check *check);
int memory_differs(Check *check);
int memory_report(CoreState *state, Check *check, const Blame *blame);
int memory_keep_objects(Check *check);
int memory_objects_differ(Check *check);
int memory_report_objects(CoreState *state, Check *check, const Blame *blame);

/* 1 when `object` gives out some of the memory of the check's owner, as a view of it does. Runs no Python code. */
int memory_is_shared(const Check *check, PyObject *object);

#endif
