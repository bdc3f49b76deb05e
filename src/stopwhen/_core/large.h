/* Large contents: not compared whole at every look (large.c). */
#ifndef STOPWHEN_LARGE_H
#define STOPWHEN_LARGE_H

#include "codeinfo.h"
#include "content.h"

/* True when the check has so much to compare that it is compared whole only where that is due. */
static inline int
large_is(const Check *check)
{
    return check->is_counted;
}

/* Take note of how much there is to compare, after each snapshot and when the check is armed or disarmed. */
void large_weigh(CoreState *state, Check *check);

/* 1 when the content differs from its snapshot, as far as it is compared now; else 0. */
int large_differs(CoreState *state, Check *check, Look look);

/* True when a difference is known to be the work of the instruction that has just run. */
int large_is_certain(const CoreState *state, const Check *check, Look look);

/* The running frame is about to execute the instruction at `unit`: compare whole what it takes as an operand. */
void large_see_operands(CoreState *state, const CodeInfo *info, Py_ssize_t unit);

#endif
