/* Reading a code object's exception table: entries of four numbers, six bits a byte, the most significant first; 64
 * marks that more follow, 128 an entry's first byte. All positions are in code units of two bytes. */
#ifndef STOPWHEN_EXCTABLE_H
#define STOPWHEN_EXCTABLE_H

typedef struct {
    unsigned int start;
    unsigned int size;
    unsigned int target;
    unsigned int depth; /* Stack depth shifted left by one, and whether the offset is pushed. */
} ExceptionEntry;

static inline const unsigned char *
read_exception_number(const unsigned char *byte, unsigned int *number)
{
    *number = *byte & 63;
    while (*byte & 64) {
        byte++;
        *number = *number << 6 | (*byte & 63);
    }
    return byte + 1;
}

static inline const unsigned char *
read_exception_entry(const unsigned char *byte, ExceptionEntry *entry)
{
    byte = read_exception_number(byte, &entry->start);
    byte = read_exception_number(byte, &entry->size);
    byte = read_exception_number(byte, &entry->target);
    return read_exception_number(byte, &entry->depth);
}

#endif
