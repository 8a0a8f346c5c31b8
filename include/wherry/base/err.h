/* Errors: a negative code to return, and a record that says what went wrong and how far it reaches. */
#ifndef WHERRY_BASE_ERR_H
#define WHERRY_BASE_ERR_H

/* Put on every function whose result must not be dropped. */
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum {
    E_OK = 0,
    E_INVAL = -1,    /* the caller's or the user's input makes no sense */
    E_PROTO = -2,    /* the peer broke the protocol */
    E_LIMIT = -3,    /* a configured or built-in bound was reached */
    E_IO = -4,       /* the operating system refused */
    E_CLOSED = -5,   /* the peer closed the connection */
    E_TIMEOUT = -6,  /* nothing came in time */
    E_TLS = -7,      /* handshake or certificate */
    E_AUTH = -8,     /* credentials refused */
    E_REFUSED = -9,  /* the peer answered NO: the request was understood and declined */
    E_UNAVAIL = -10, /* temporary: worth another try later */
    E_NOTFOUND = -11,
    E_EXISTS = -12,
    E_FULL = -13,    /* disk or quota */
    E_CORRUPT = -14, /* stored data cannot be read back */
    E_CANCELED = -15,
    E_NOTSUP = -16
};

/* How far an error reaches: the smallest thing that has to give up. */
enum err_scope { SCOPE_NONE, SCOPE_MESSAGE, SCOPE_UNIT, SCOPE_ACCOUNT, SCOPE_HOST };

struct err {
    int code;
    enum err_scope scope;
    char text[200]; /* for people; never a secret, never mail content */
};

/* Fills *e (which may be NULL) and returns code, so that "return err_set(...)" reads well. */
int err_set(struct err *e, int code, enum err_scope scope, const char *fmt, ...) PRINTF(4, 5);
void err_clear(struct err *e);

/* A short stable word for a code ("protocol", "timeout"); never NULL. */
const char *err_name(int code);

/* Sans-I/O codecs answer with one of these. */
enum codec { CODEC_DONE = 0, CODEC_MORE = 1, CODEC_BAD = -1 };

#endif
