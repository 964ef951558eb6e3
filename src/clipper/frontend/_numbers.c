/* The usual predict body, {"input": [numbers]}, read and packed in one go.

   This is a shortcut: it only takes a body whose meaning is beyond doubt, and returns None for all others, valid or
   not, so that the ordinary decoder reads or refuses them. Where it is not compiled, that one reads them all. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Powers of ten that a long double of 64 bits holds exactly: 5^27 < 2^64. */
static const long double TENS[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
                                   1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
                                   1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
#define MOST_TENS 27
#define MOST_DIGITS 19 /* so many decimal digits fit 64 bits */

/* The double next to digits * 10^scale; 0 if that is not certain.

   Both factors are exact, so product or quotient is off by half a unit in the last of its 64 bits at most, and the
   11 bits that a double has not decide how it is rounded, unless they are next to the middle. */
static int to_double(uint64_t digits, int scale, double *value)
{
#if LDBL_MANT_DIG == 64
    if (scale < -MOST_TENS || scale > MOST_TENS)
        return 0;
    long double wide = scale < 0 ? (long double)digits / TENS[-scale] : (long double)digits * TENS[scale];
    uint64_t mantissa;
    memcpy(&mantissa, &wide, sizeof mantissa);
    unsigned rest = mantissa & 0x7FF;
    *value = (double)wide;
    return rest < 0x3FF || rest > 0x401;
#else /* few digits and tens are exact as doubles, too (Clinger 1990) */
    if (digits >> 53 || scale < -22 || scale > 22)
        return 0;
    *value = scale < 0 ? (double)digits / (double)TENS[-scale] : (double)digits * (double)TENS[scale];
    return 1;
#endif
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
    return at;
}

static inline int is_digit(char c) { return (unsigned char)(c - '0') < 10; }

/* The number from `at` to `end`, at leisure; NULL if it is not finite. */
static const char *read_with_care(const char *at, const char *end, double *value)
{
    char *stopped;
    *value = PyOS_string_to_double(at, &stopped, NULL);
    if (PyErr_Occurred())
        PyErr_Clear();
    return stopped == end && isfinite(*value) ? end : NULL;
}

/* Reads a JSON number; NULL if there is none, or none that is finite. */
static const char *read_number(const char *at, double *value, int *is_integer)
{
    int negative = *at == '-';
    at += negative;
    if (!is_digit(*at) || (*at == '0' && is_digit(at[1])))
        return NULL;
    const char *first = at;
    uint64_t digits = 0;
    int exponent = 0, scale = 0;
    for (; is_digit(*at); at++)
        digits = digits * 10 + (uint64_t)(*at - '0');
    *is_integer = *at != '.' && *at != 'e' && *at != 'E';
    if (*at == '.') {
        const char *point = at++;
        for (; is_digit(*at); at++)
            digits = digits * 10 + (uint64_t)(*at - '0');
        scale = -(int)(at - point - 1);
        if (scale == 0)
            return NULL;
    }
    int fits = at - first <= MOST_DIGITS + (scale != 0);
    if (*at == 'e' || *at == 'E') {
        int down = *++at == '-';
        at += down || *at == '+';
        if (!is_digit(*at))
            return NULL;
        for (; is_digit(*at) && exponent < 1000; at++)
            exponent = exponent * 10 + (*at - '0');
        exponent = down ? -exponent : exponent;
        if (is_digit(*at))
            return NULL;
    }
    if (fits && to_double(digits, scale + exponent, value))
        *value = negative && !(*is_integer && digits == 0) ? -*value : *value; /* -0 is the integer 0, -0.0 is not */
    else
        at = read_with_care(first - negative, at, value);
    return at;
}

/* Appends the value as `code` says; 0 if that can't hold it. */
static int put(char **out, char code, double value, int is_integer)
{
    if (code == 'd') {
        memcpy(*out, &value, sizeof value);
        *out += sizeof value;
    }
    else if (code == 'f') {
        if (value > FLT_MAX || value < -FLT_MAX)
            return 0;
        float narrow = (float)value;
        memcpy(*out, &narrow, sizeof narrow);
        *out += sizeof narrow;
    }
    else {
        if (!is_integer || value > INT32_MAX || value < INT32_MIN)
            return 0;
        int32_t whole = (int32_t)value;
        memcpy(*out, &whole, sizeof whole);
        *out += sizeof whole;
    }
    return 1;
}

/* The numbers of a list that begins behind `at`, into `out`, which has room for all; where it ends, or NULL. */
static const char *read_list(const char *at, char **out, char code)
{
    for (;;) {
        double value;
        int is_integer;
        at = read_number(skip_blanks(at), &value, &is_integer);
        if (at == NULL || !put(out, code, value, is_integer))
            return NULL;
        at = skip_blanks(at);
        if (*at == ']')
            return at + 1;
        if (*at++ != ',')
            return NULL;
    }
}

static const char *expect(const char *at, const char *token)
{
    size_t size = strlen(token);
    at = skip_blanks(at);
    return strncmp(at, token, size) == 0 ? at + size : NULL;
}

static PyObject *pack_input(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(arguments[0]) || !PyUnicode_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "pack_input(body: bytes, code: str)");
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(arguments[0]); /* and behind them there is a 0, which is in no JSON token */
    const char *body = PyBytes_AS_STRING(arguments[0]), *at = body;
    char code = (char)PyUnicode_READ_CHAR(arguments[1], 0);
    size_t width = code == 'd' ? 8 : 4;
    if ((at = expect(at, "{")) == NULL || (at = expect(at, "\"input\"")) == NULL || (at = expect(at, ":")) == NULL ||
        (at = expect(at, "[")) == NULL)
        Py_RETURN_NONE;
    /* A number and its comma take two bytes at least. */
    size_t room = ((size_t)(body + size - at) / 2 + 1) * width;
    char small[8192], *packed = room <= sizeof small ? small : PyMem_Malloc(room), *out = packed;
    if (packed == NULL)
        return PyErr_NoMemory();
    PyObject *input = NULL;
    at = read_list(at, &out, code);
    if (at != NULL && (at = expect(at, "}")) != NULL && skip_blanks(at) == body + size)
        input = PyBytes_FromStringAndSize(packed, out - packed);
    if (packed != small)
        PyMem_Free(packed);
    if (input == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return input;
}

static PyMethodDef methods[] = {
    {"pack_input", (PyCFunction)(void (*)(void))pack_input, METH_FASTCALL,
     "pack_input(body, code)\n--\n\nThe numbers of {\"input\": [numbers]} as bytes, by a code of struct: d, f or i."
     " None for any other body."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "clipper.frontend._numbers", NULL, 0, methods};

PyMODINIT_FUNC PyInit__numbers(void) { return PyModule_Create(&definition); }
