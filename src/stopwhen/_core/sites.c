/* Finds the sites of a code object, once, and which of them matter, whenever what is armed is another. All is decided from
 * opcodes and names, before the code runs. The tables come from Python (mechanisms/sites.py).
 *
 * I1. A site that does not matter cannot touch what is armed, whatever its operands are; but see I2.
 * I2. A call matters if the name under which it loads what it calls is one of a function that stores or reads
 *     (`state->call_names`), or if it loads it by no name. Any other call matters until it has been seen to call something
 *     of no interest: `push(1)` may be `list.append`, but is not taken to be that the next time if it was not the first.
 */
#include "sites.h"

static int
allocate(CodeSites *sites, size_t length)
{
    sites->opcode = PyMem_Calloc(length + 1, 1);
    sites->kind = PyMem_Calloc(length + 1, 1);
    sites->learned = PyMem_Calloc(length + 1, 1);
    sites->matters = PyMem_Calloc(length + 1, 1);
    sites->argument = PyMem_Calloc(length + 1, sizeof(int));
    sites->loader = PyMem_Malloc((length + 1) * sizeof(int));
    sites->behind = PyMem_Calloc(length + 1, sizeof(int));
    return sites->opcode == NULL || sites->kind == NULL || sites->learned == NULL || sites->matters == NULL ||
                   sites->argument == NULL || sites->loader == NULL || sites->behind == NULL
               ? -1
               : 0;
}

void
sites_free(CodeInfo *info)
{
    CodeSites *sites = info->sites;
    if (sites == NULL) {
        return;
    }
    info->sites = NULL;
    PyMem_Free(sites->opcode);
    PyMem_Free(sites->kind);
    PyMem_Free(sites->argument);
    PyMem_Free(sites->loader);
    PyMem_Free(sites->behind);
    PyMem_Free(sites->learned);
    PyMem_Free(sites->matters);
    PyMem_Free(sites);
}

static int
kind_of(const CoreState *state, unsigned char opcode, unsigned int argument)
{
    if (opcode == state->binary_op) {
        return argument < 32 ? state->operator_sites[argument] : SITE_NONE;
    }
    if (opcode == state->intrinsic_op) {
        return argument == 2 ? SITE_IMPORT_STAR : SITE_NONE; /* INTRINSIC_IMPORT_STAR */
    }
    return opcode == state->extended_arg ? SITE_PREFIX : state->site[opcode];
}

/* Return the unit of the instruction that loads by a name what the call at `unit` calls; -1 when it does not, or when the
 * depth of the stack is not known. */
static int
callee_of(const CoreState *state, const CodeInfo *info, int unit)
{
    const CodeSites *sites = info->sites;
    int argument = sites->argument[unit];
    int depth = info->depth[unit];
    if (depth == STACK_UNKNOWN || sites->kind[unit] == SITE_CALL_UNPACKED) {
        return -1;
    }
    int first = depth - argument - 1 - (sites->kind[unit] == SITE_CALL_KEYWORDS);
    for (int i = unit - 1; i >= 0; i--) {
        if ((info->effect[i] & EFFECT_CACHE) || info->depth[i] == STACK_UNKNOWN || info->depth[i] > first ||
            sites->opcode[i] == state->push_null || sites->kind[i] == SITE_PREFIX) {
            continue;
        }
        int kind = sites->kind[i];
        return kind == SITE_LOAD_NAME || kind == SITE_LOAD_GLOBAL || kind == SITE_LOAD_ATTRIBUTE ||
                       kind == SITE_LOAD_SUPER
                   ? i
                   : -1;
    }
    return -1;
}

/* Note in `target` the units to which instructions jump. */
static void
find_targets(const CoreState *state, const CodeInfo *info, unsigned char *target)
{
    const CodeSites *sites = info->sites;
    for (int unit = 0; unit < info->length; unit = sites->behind[unit]) {
        int kind = state->jump_kind[sites->opcode[unit]];
        int by = kind & JUMP_BACK ? -sites->argument[unit] : sites->argument[unit];
        Py_ssize_t to = (Py_ssize_t)sites->behind[unit] + by;
        if ((kind & (JUMP_AHEAD | JUMP_BACK)) && to >= 0 && to < info->length) {
            target[to] = 1;
        }
    }
}

static int
only_pushes(const CodeSites *sites, const CoreState *state, int unit)
{
    int kind = sites->kind[unit];
    return sites->opcode[unit] == state->load_const || sites->opcode[unit] == state->load_small_int ||
           kind == SITE_LOAD_NAME || kind == SITE_LOAD_GLOBAL || kind == SITE_LOAD_FAST ||
           kind == SITE_LOAD_FAST_TWICE || kind == SITE_LOAD_DEREF;
}

/* Return the unit that loads the key on top of the stack at `unit` if that is a constant; -1 when it is none, or when that
 * is not known. */
static int
key_of(const CoreState *state, const CodeInfo *info, const unsigned char *target, int unit)
{
    const CodeSites *sites = info->sites;
    int slot = info->depth[unit] - 1;
    for (int i = unit; i > 0 && slot >= 0 && !target[i];) {
        do {
            i--;
        } while (i > 0 && sites->behind[i] == 0); /* A cache. */
        int before = info->depth[i];
        int after = info->depth_after[i];
        int argument = sites->argument[i];
        if (sites->kind[i] == SITE_PREFIX) {
            continue;
        }
        if (state->jump_kind[sites->opcode[i]] != 0 || before == STACK_UNKNOWN || after == STACK_UNKNOWN) {
            return -1;
        }
        if (sites->opcode[i] == state->swap) {
            slot = slot == before - 1 ? before - argument : slot == before - argument ? before - 1 : slot;
        }
        else if (sites->opcode[i] == state->copy) {
            slot = slot == before ? before - argument : slot;
        }
        else if (slot >= (only_pushes(sites, state, i) ? before : Py_MIN(before, after) - 1)) {
            int is_constant = sites->opcode[i] == state->load_const || sites->opcode[i] == state->load_small_int;
            return is_constant && slot == before ? i : -1;
        }
    }
    return -1;
}

static int
find_sites(CoreState *state, CodeInfo *info)
{
    int result = -1;
    unsigned char *target = NULL; /* Owned memory. */
    PyObject *bytecode = PyCode_GetCode(info->code);
    info->sites = PyMem_Calloc(1, sizeof(CodeSites));
    if (bytecode == NULL || info->sites == NULL || allocate(info->sites, (size_t)info->length) < 0) {
        goto done;
    }
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(bytecode);
    CodeSites *sites = info->sites;
    unsigned int extended = 0;
    for (int unit = 0, next; unit < info->length; unit = next) {
        unsigned char opcode = bytes[2 * unit];
        unsigned int argument = bytes[2 * unit + 1] | (extended << 8);
        extended = opcode == state->extended_arg ? argument : 0;
        next = unit + 1 + state->caches[opcode];
        sites->opcode[unit] = opcode;
        sites->kind[unit] = (unsigned char)kind_of(state, opcode, argument);
        sites->argument[unit] = (int)argument;
        sites->behind[unit] = next;
        sites->loader[unit] = -1;
    }
    target = PyMem_Calloc((size_t)info->length + 1, 1);
    if (target == NULL) {
        goto done;
    }
    find_targets(state, info, target);
    for (int unit = 0; unit < info->length; unit = sites->behind[unit]) {
        if (sites->kind[unit] == SITE_CALL || sites->kind[unit] == SITE_CALL_KEYWORDS) {
            sites->loader[unit] = callee_of(state, info, unit);
        }
        else if (sites->kind[unit] == SITE_LOAD_ITEM || sites->kind[unit] == SITE_STORE_ITEM) {
            sites->loader[unit] = key_of(state, info, target, unit);
        }
    }
    result = 0;
done:
    PyMem_Free(target);
    Py_XDECREF(bytecode);
    if (result < 0) {
        sites_free(info);
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
    }
    return result;
}

PyObject *
site_name(CoreState *state, CodeInfo *info, int unit)
{
    unsigned char shift = state->name_shift[info->sites->opcode[unit]];
    Py_ssize_t index = info->sites->argument[unit] >> (shift == NO_NAME ? 0 : shift);
    PyObject *names = info->code->co_names;
    return index < PyTuple_GET_SIZE(names) ? PyTuple_GET_ITEM(names, index) : NULL;
}

PyObject *
site_keywords(CoreState *state, CodeInfo *info, int unit)
{
    const CodeSites *sites = info->sites;
    /* KW_NAMES stands right before the call, or before its PRECALL on 3.11. */
    int next = unit;
    for (int before = unit - 1; before >= 0 && before >= unit - 8; before--) {
        if (sites->behind[before] != next) {
            continue; /* A cache. */
        }
        if (sites->opcode[before] == state->kw_names) {
            PyObject *names = PyTuple_GetItem(info->code->co_consts, sites->argument[before]);
            return names != NULL && PyTuple_CheckExact(names) ? names : NULL;
        }
        if (HAS_MONITORING || next != unit) {
            return NULL;
        }
        next = before;
    }
    return NULL;
}

/* True when `name`, which may be NULL, is in a set of names. */
static int
is_in(PyObject *names, PyObject *name)
{
    return names != NULL && name != NULL && PySet_Contains(names, name) == 1;
}

/* The name of the variable that the instruction at `unit` has for its argument; borrowed. */
static PyObject *
variable_name(const CodeInfo *info, int unit)
{
    Py_ssize_t index = info->sites->argument[unit];
    PyObject *names = info->code->co_localsplusnames;
    return index < PyTuple_GET_SIZE(names) ? PyTuple_GET_ITEM(names, index) : NULL;
}

static int
call_matters(CoreState *state, const CodeInfo *info, int unit)
{
    if (state->call_names == NULL || PySet_GET_SIZE(state->call_names) == 0) {
        return 0;
    }
    int callee = info->sites->loader[unit];
    if (callee < 0 || is_in(state->call_names, site_name(state, (CodeInfo *)info, callee))) {
        return 1;
    }
    return !info->sites->learned[unit]; /* I2 */
}

/* Whether an item by the key of the instruction at `unit` may be armed. */
static int
key_matters(const CoreState *state, const CodeInfo *info, int unit, int is_read)
{
    const CodeSites *sites = info->sites;
    int interest = state->access_interest;
    if (!(interest & (is_read ? INTEREST_ITEMS_READ : INTEREST_ITEMS_STORED))) {
        return 0;
    }
    int loader = sites->loader[unit];
    if (loader < 0 || (!is_read && (interest & INTEREST_ANY_ITEM))) {
        return 1;
    }
    if (sites->opcode[loader] == state->load_const) {
        PyObject *constant = PyTuple_GET_ITEM(info->code->co_consts, sites->argument[loader]);
        if (PyUnicode_CheckExact(constant)) {
            return is_in(is_read ? state->read_names : state->stored_names, constant);
        }
    }
    return interest & (is_read ? INTEREST_NUMBERS_READ : INTEREST_NUMBERS_STORED);
}

/* Whether an instruction may touch what is armed, by what it is and by its name (I1). */
static int
may_touch(CoreState *state, const CodeInfo *info, int unit)
{
    CodeInfo *code = (CodeInfo *)info;
    int interest = state->access_interest;
    switch ((SiteKind)info->sites->kind[unit]) {
    case SITE_STORE_NAME:
    case SITE_STORE_GLOBAL:
    case SITE_STORE_ATTRIBUTE:
        return (interest & INTEREST_ANY_NAME) || is_in(state->stored_names, site_name(state, code, unit));
    case SITE_STORE_ITEM:
        return key_matters(state, info, unit, 0);
    case SITE_STORE_SLICE:
        return interest & (INTEREST_ANY_ITEM | INTEREST_NUMBERS_STORED);
    case SITE_IN_PLACE:
        return state->in_place >> info->sites->argument[unit] & 1;
    case SITE_IMPORT_STAR:
        return interest & INTEREST_STAR;
    case SITE_STORE_FAST:
    case SITE_STORE_FAST_TWICE:
    case SITE_STORE_FAST_LOAD_FAST:
    case SITE_LOAD_FAST:
    case SITE_LOAD_FAST_TWICE:
        return info->local_accesses > 0;
    case SITE_STORE_DEREF:
        return is_in(state->stored_names, variable_name(info, unit));
    case SITE_LOAD_DEREF:
    case SITE_LOAD_FROM_DICT_OR_DEREF:
        return is_in(state->read_names, variable_name(info, unit));
    case SITE_LOAD_NAME:
    case SITE_LOAD_GLOBAL:
    case SITE_LOAD_ATTRIBUTE:
    case SITE_LOAD_SUPER:
    case SITE_LOAD_FROM_DICT_OR_GLOBAL:
    case SITE_IMPORT_FROM:
        return is_in(state->read_names, site_name(state, code, unit));
    case SITE_LOAD_ITEM:
        return key_matters(state, info, unit, 1);
    case SITE_LOAD_SLICE:
        return interest & INTEREST_NUMBERS_READ;
    case SITE_CALL:
    case SITE_CALL_KEYWORDS:
    case SITE_CALL_UNPACKED:
        return call_matters(state, info, unit);
    case SITE_NONE:
    case SITE_PREFIX:
        break;
    }
    return 0;
}

int
sites_matter(CoreState *state, CodeInfo *info)
{
    if (state->access_count == 0) {
        return 0;
    }
    if (info->sites == NULL && find_sites(state, info) < 0) {
        return -1;
    }
    CodeSites *sites = info->sites;
    if (sites->era == state->access_era) {
        return sites->any_matters;
    }
    sites->any_matters = 0;
    memset(sites->learned, 0, (size_t)info->length);
    for (int unit = 0; unit < info->length && !info->is_ours; unit = sites->behind[unit]) {
        int matters = sites->kind[unit] != SITE_NONE && may_touch(state, info, unit);
        sites->matters[unit] = (unsigned char)(matters != 0);
        sites->any_matters |= sites->matters[unit];
    }
    sites->era = state->access_era;
    return sites->any_matters;
}

void
sites_learn(CoreState *state, CodeInfo *info, int unit)
{
    CodeSites *sites = info->sites;
    sites->learned[unit] = 1; /* I2 */
    sites->matters[unit] = (unsigned char)call_matters(state, info, unit);
}

static int
copy_table(unsigned char *table, Py_ssize_t size, Py_buffer *from)
{
    int fits = from->len == size;
    if (fits) {
        memcpy(table, from->buf, (size_t)size);
    }
    else {
        PyErr_Format(PyExc_ValueError, "a table of %zd sites, not %zd", size, from->len);
    }
    PyBuffer_Release(from);
    return fits ? 0 : -1;
}

/* set_sites(sites, sites of operators, CALL_INTRINSIC_1, KW_NAMES, PUSH_NULL, LOAD_CONST, LOAD_SMALL_INT, COPY, SWAP): opcodes that an interpreter does not have
 * are -1. */
PyObject *
sites_set(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    Py_buffer sites, operators;
    if (!PyArg_ParseTuple(args, "y*y*iiiiiii", &sites, &operators, &state->intrinsic_op, &state->kw_names,
                          &state->push_null, &state->load_const, &state->load_small_int, &state->copy, &state->swap)) {
        return NULL;
    }
    int failed = copy_table(state->site, 256, &sites);
    failed |= copy_table(state->operator_sites, 32, &operators);
    return failed ? NULL : Py_NewRef(Py_None);
}
