/* As much of the C library as gdb's own test programs call. Nothing is printed, nothing is read, nothing is freed. */

typedef unsigned long size_t;

#define HEAP 65536
#define ALIGN 16

void *stdout, *stderr;

void *memset(void *to, int value, size_t size)
{
    char *byte = to;
    while (size--)
        *byte++ = value;
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    char *out = to;
    const char *in = from;
    while (size--)
        *out++ = *in++;
    return to;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *(const unsigned char *)a - *(const unsigned char *)b;
}

int atoi(const char *text)
{
    int value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + *text++ - '0';
    return value;
}

void *malloc(size_t size)
{
    static char heap[HEAP];
    static size_t used;
    void *block = heap + used;
    used += (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    return block;
}

void free(void *block) { (void)block; }
int puts(const char *text) { (void)text; return 0; }
int putchar(int character) { return character; }
int printf(const char *format, ...) { (void)format; return 0; }
int fprintf(void *file, const char *format, ...) { (void)file; (void)format; return 0; }
int fflush(void *file) { (void)file; return 0; }
int setvbuf(void *file, char *buffer, int mode, size_t size) { (void)file; (void)buffer; (void)mode; (void)size; return 0; }
int write(int file, const void *data, size_t size) { (void)file; (void)data; return size; }
int read(int file, void *data, size_t size) { (void)file; (void)data; (void)size; return 0; }
unsigned sleep(unsigned seconds) { (void)seconds; return 0; }
