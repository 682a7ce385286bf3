/* Events go between bytes (model/event_format.h) and rows within SQLite. Two SQL functions:
 *
 *   insert_events(bytes, number, together, many, one): inserts packed events, the first with that number, and gives how
 *   many. Two statements do it, for so many rows together and for one: their parameters are the number and the columns of
 *   each event.
 *   packed_events(statement, first, last): the events whose columns the statement selects for these two numbers, packed.
 *
 * Why: rows that are made of Python objects cost twice what SQLite itself takes, and hold the lock that the guest's thread
 * needs. Within the functions no Python runs. A test holds both equal to what _packed.c makes of rows, which is what is
 * done where this cannot be had.
 *
 * Python's sqlite3 gives nobody its connections; SQLite does, as it is opened, to whoever asked for it by
 * sqlite3_auto_extension. All functions are found by name in the very library that _sqlite3 uses: two in one process
 * would break each other's file locks. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>

#include "../model/event_format.h"

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
typedef struct sqlite3_context sqlite3_context;
typedef struct sqlite3_value sqlite3_value;

enum { SQLITE_OK = 0, SQLITE_ROW = 100, SQLITE_DONE = 101, SQLITE_UTF8 = 1, SQLITE_DIRECTONLY = 0x80000 };
enum { SQLITE_INTEGER = 1, SQLITE_TEXT = 3, SQLITE_BLOB = 4, SQLITE_NULL = 5 };
#define SQLITE_STATIC ((void (*)(void *))0)

#define FUNCTIONS(X)                                                                                                   \
    X(int, auto_extension, (void (*entry)(void)))                                                                      \
    X(int, cancel_auto_extension, (void (*entry)(void)))                                                               \
    X(int, create_function, (sqlite3 *, const char *name, int arguments, int flags, void *data,                        \
                             void (*call)(sqlite3_context *, int, sqlite3_value **), void (*step)(void), void (*)(void))) \
    X(sqlite3 *, context_db_handle, (sqlite3_context *))                                                               \
    X(const void *, value_blob, (sqlite3_value *))                                                                     \
    X(const unsigned char *, value_text, (sqlite3_value *))                                                            \
    X(int, value_bytes, (sqlite3_value *))                                                                             \
    X(int64_t, value_int64, (sqlite3_value *))                                                                         \
    X(int, column_type, (sqlite3_stmt *, int))                                                                         \
    X(int64_t, column_int64, (sqlite3_stmt *, int))                                                                    \
    X(const void *, column_blob, (sqlite3_stmt *, int))                                                                \
    X(int, column_bytes, (sqlite3_stmt *, int))                                                                        \
    X(int, prepare_v2, (sqlite3 *, const char *sql, int size, sqlite3_stmt **, const char **tail))                     \
    X(int, bind_int64, (sqlite3_stmt *, int, int64_t))                                                                 \
    X(int, bind_null, (sqlite3_stmt *, int))                                                                           \
    X(int, bind_text, (sqlite3_stmt *, int, const char *, int size, void (*)(void *)))                                 \
    X(int, bind_blob, (sqlite3_stmt *, int, const void *, int size, void (*)(void *)))                                 \
    X(int, step, (sqlite3_stmt *))                                                                                     \
    X(int, reset, (sqlite3_stmt *))                                                                                    \
    X(int, finalize, (sqlite3_stmt *))                                                                                 \
    X(const char *, errmsg, (sqlite3 *))                                                                               \
    X(void, result_int64, (sqlite3_context *, int64_t))                                                                \
    X(void, result_error, (sqlite3_context *, const char *, int size))                                                 \
    X(void, result_blob, (sqlite3_context *, const void *, int size, void (*release)(void *)))                         \
    X(void, result_error_nomem, (sqlite3_context *))                                                                   \
    X(void, result_error_code, (sqlite3_context *, int))

#define DECLARE(result, name, arguments) result(*name) arguments;
static struct {
    FUNCTIONS(DECLARE)
} sql;

/* False: this library does not have one of them. */
static bool find(void *library)
{
#define FIND(result, name, arguments) &&(sql.name = (result(*) arguments)dlsym(library, "sqlite3_" #name))
    return true FUNCTIONS(FIND);
}

static void fail(sqlite3_context *context, int error)
{
    sql.result_error(context, sql.errmsg(sql.context_db_handle(context)), -1);
    sql.result_error_code(context, error);
}

/* ------------------------------------------------------------------ from bytes to rows */

static int bind_argument(sqlite3_stmt *statement, int at, const struct record *r, int i)
{
    int size = (int)r->argument[i].number;
    switch (i < r->count ? r->argument[i].tag : TAG_NOTHING) {
    case TAG_INTEGER: return sql.bind_int64(statement, at, (int64_t)r->argument[i].number);
    case TAG_TEXT: return sql.bind_text(statement, at, r->argument[i].data, size, SQLITE_STATIC);
    case TAG_BYTES: return sql.bind_blob(statement, at, r->argument[i].data, size, SQLITE_STATIC);
    default: return sql.bind_null(statement, at);
    }
}

/* Binds an event from parameter `at` on. The first error, or SQLITE_OK. */
static int bind_event(sqlite3_stmt *statement, int at, int64_t number, const struct record *r)
{
    int64_t head[] = {number, (int64_t)r->step, r->kind, (int64_t)r->pc, (int64_t)r->flags};
    int error = SQLITE_OK;
    for (size_t i = 0; i < sizeof head / sizeof *head && !error; i++)
        error = sql.bind_int64(statement, at++, head[i]);
    for (int i = 0; i < EVENT_ARGUMENTS && !error; i++)
        error = bind_argument(statement, at++, r, i);
    if (error)
        return error;
    return r->cause == NO_CAUSE ? sql.bind_null(statement, at) : sql.bind_int64(statement, at, r->cause);
}

enum { COLUMNS = 6 + EVENT_ARGUMENTS };

/* Inserts as many whole portions of `together` events as there are of `left`; each by one statement. */
static int insert(sqlite3 *database, const char *text, int together, struct cursor *c, int64_t *number, int64_t *left)
{
    sqlite3_stmt *statement = NULL;
    struct record r;
    int error = sql.prepare_v2(database, text, -1, &statement, NULL);
    for (; !error && *left >= together; *left -= together) {
        for (int i = 0; i < together && !error && get_event(c, &r); i++)
            error = bind_event(statement, i * COLUMNS + 1, (*number)++, &r);
        if (!error && (error = sql.step(statement)) == SQLITE_DONE)
            error = sql.reset(statement);
    }
    sql.finalize(statement);
    return error;
}

/* How many events these bytes are; -1 if they are none. */
static int64_t count_of(struct cursor c)
{
    struct record r;
    int64_t count = 0;
    for (; c.at < c.end; count++)
        if (!get_event(&c, &r))
            return -1;
    return count;
}

static void insert_events(sqlite3_context *context, int arguments, sqlite3_value **value)
{
    enum { BYTES, NUMBER, TOGETHER, MANY, ONE };
    (void)arguments;
    const uint8_t *bytes = sql.value_blob(value[BYTES]);
    struct cursor c = {bytes, bytes + sql.value_bytes(value[BYTES])};
    int64_t number = sql.value_int64(value[NUMBER]), together = sql.value_int64(value[TOGETHER]);
    int64_t count = count_of(c), left = count;
    sqlite3 *database = sql.context_db_handle(context);
    if (count < 0 || together < 1) {
        sql.result_error(context, "these bytes are no events", -1);
        return;
    }
    int error = insert(database, (const char *)sql.value_text(value[MANY]), (int)together, &c, &number, &left);
    if (!error)
        error = insert(database, (const char *)sql.value_text(value[ONE]), 1, &c, &number, &left);
    if (!error) {
        sql.result_int64(context, count);
        return;
    }
    fail(context, error);
}

/* ------------------------------------------------------------------ from rows to bytes */

struct buffer {
    uint8_t *data;
    size_t size, room;
};

/* Room for `more` bytes behind the last; false: there is no memory. */
static bool extend(struct buffer *b, size_t more)
{
    if (b->room - b->size >= more)
        return true;
    size_t room = 2 * b->room + more;
    uint8_t *data = realloc(b->data, room);
    if (data)
        *b = (struct buffer){data, b->size, room};
    return data;
}

enum { STEP, KIND, PC, FLAGS, ARGUMENT, CAUSE = ARGUMENT + EVENT_ARGUMENTS };
enum packing { PACKED, NO_EVENT, NO_MEMORY };

static enum packing pack_argument(sqlite3_stmt *row, int column, struct buffer *b)
{
    uint8_t *at = b->data + b->size;
    int type = sql.column_type(row, column);
    if (type == SQLITE_NULL || type == SQLITE_INTEGER) {
        bool nothing = type == SQLITE_NULL;
        at = nothing ? put_nothing(at) : put_word(at, TAG_INTEGER, (uint64_t)sql.column_int64(row, column));
    } else if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
        const void *data = sql.column_blob(row, column);
        size_t size = (size_t)sql.column_bytes(row, column);
        if (!extend(b, EVENT_LONGEST_PLAIN + size))
            return NO_MEMORY;
        at = put_word(b->data + b->size, type == SQLITE_TEXT ? TAG_TEXT : TAG_BYTES, size);
        at = size ? put(at, data, size) : at;
    } else {
        return NO_EVENT;
    }
    b->size = (size_t)(at - b->data);
    return PACKED;
}

/* The event of one row. */
static enum packing pack_row(sqlite3_stmt *row, struct buffer *b)
{
    if (!extend(b, EVENT_LONGEST_PLAIN))
        return NO_MEMORY;
    int64_t head[ARGUMENT], cause = NO_CAUSE;
    for (int i = 0; i < ARGUMENT; i++) {
        if (sql.column_type(row, i) != SQLITE_INTEGER)
            return NO_EVENT;
        head[i] = sql.column_int64(row, i);
    }
    if (sql.column_type(row, CAUSE) != SQLITE_NULL) {
        cause = sql.column_int64(row, CAUSE);
        if (cause < 0 || sql.column_type(row, CAUSE) != SQLITE_INTEGER)
            return NO_EVENT;
    }
    if (head[KIND] < 0 || head[KIND] > UINT16_MAX)
        return NO_EVENT;
    int count = EVENT_ARGUMENTS;
    while (count && sql.column_type(row, ARGUMENT + count - 1) == SQLITE_NULL)
        count--;
    uint8_t *at = put_head(b->data + b->size, (uint64_t)head[STEP], (uint16_t)head[KIND], (uint64_t)head[PC],
                           (uint64_t)head[FLAGS], cause, (uint8_t)count);
    b->size = (size_t)(at - b->data);
    enum packing done = PACKED;
    for (int i = 0; i < count && done == PACKED; i++)
        done = extend(b, EVENT_LONGEST_PLAIN) ? pack_argument(row, ARGUMENT + i, b) : NO_MEMORY;
    return done;
}

static void packed_events(sqlite3_context *context, int arguments, sqlite3_value **value)
{
    enum { STATEMENT, FIRST, LAST };
    (void)arguments;
    sqlite3 *database = sql.context_db_handle(context);
    sqlite3_stmt *statement = NULL;
    struct buffer b = {0};
    int64_t first = sql.value_int64(value[FIRST]), last = sql.value_int64(value[LAST]), rows = 0;
    int error = sql.prepare_v2(database, (const char *)sql.value_text(value[STATEMENT]), -1, &statement, NULL);
    if (!error)
        error = sql.bind_int64(statement, 1, first);
    if (!error)
        error = sql.bind_int64(statement, 2, last);
    enum packing done = PACKED;
    while (!error && done == PACKED && (error = sql.step(statement)) == SQLITE_ROW) {
        error = SQLITE_OK;
        done = pack_row(statement, &b);
        rows++;
    }
    if (done == NO_MEMORY)
        sql.result_error_nomem(context);
    else if (done == NO_EVENT)
        sql.result_error(context, "a row of the table event is no event", -1);
    else if (error != SQLITE_DONE)
        fail(context, error);
    else if (rows == last - first && b.size <= INT_MAX)
        sql.result_blob(context, b.data, (int)b.size, free), b.data = NULL;
    free(b.data);
    sql.finalize(statement);
}

/* ------------------------------------------------------------------ who has them */

static int opened(sqlite3 *database, char **error, const void *routines)
{
    enum { INSERTING = 5, PACKING = 3, HOW = SQLITE_UTF8 | SQLITE_DIRECTONLY };
    (void)error, (void)routines;
    int wrong = sql.create_function(database, "insert_events", INSERTING, HOW, NULL, insert_events, NULL, NULL);
    return wrong ? wrong : sql.create_function(database, "packed_events", PACKING, HOW, NULL, packed_events, NULL, NULL);
}

/* ------------------------------------------------------------------ the module */

/* Whether connections that are opened from now on have the functions. */
static PyObject *offer(PyObject *Py_UNUSED(self), PyObject *library)
{
    static void *found;
    const char *path = library == Py_None ? NULL : PyUnicode_AsUTF8(library);
    if (PyErr_Occurred())
        return NULL;
    if (!found) {
        void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
        found = handle && find(handle) ? handle : NULL;
    }
    return PyBool_FromLong(found && sql.auto_extension((void (*)(void))opened) == SQLITE_OK);
}

static PyObject *withdraw(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    if (sql.cancel_auto_extension)
        sql.cancel_auto_extension((void (*)(void))opened);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"offer", offer, METH_O,
     "offer(library): whether connections opened from now on have the functions; the file that _sqlite3 is, or None"},
    {"withdraw", withdraw, METH_NOARGS, "withdraw(): those opened from now on do not"},
    {0},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_direct", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit__direct(void)
{
    return PyModule_Create(&definition);
}
