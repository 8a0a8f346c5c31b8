/*
 * A session: one client connection from its greeting to its end, and what the files of this folder
 * share about it.
 *
 * Owner: struct front. One task per session; its step runs the pumps of the upstream connections
 * and the function of the session's state until none of them makes progress.
 *
 * Memory is bounded: the client's input by the command reader's limits, what waits for it by
 * stream_full(), commands in flight by MAX_FLIGHTS, lines held during SELECT by MAX_HELD.
 */
#ifndef WHERRY_FRONT_SESSION_H
#define WHERRY_FRONT_SESSION_H

#include "front/door.h"
#include "front/reply.h"
#include "front/seqs.h"
#include "front/translate.h"
#include "front/visitor.h"
#include "wherry/imap/cmd.h"

enum {
    MAX_FLIGHTS = 256,
    MAX_HELD = 256 * 1024,
    MAX_LATER = 16 * 1024,
    FLUSH_AT = 16 * 1024,
    GUEST_ID_BYTES = 40 * 1024, /* of an ID command before sign-in; any other has 4 KiB */
    LITERAL_MINUS_BYTES = 4096, /* RFC 7888 section 5 */
    MAX_GATHER = 1024 * 1024, /* one LIST, STATUS or ESEARCH line */
    LOGOUT_MS = 5000 /* how long LOGOUT waits for commands in flight */
};

#define SESSION_STATES(X)                                                                          \
    X(HANDSHAKE, handshake) /* TLS, before the greeting or after STARTTLS */                       \
    X(GUEST, guest)         /* not signed in */                                                    \
    X(SASL, sasl)           /* a line of AUTHENTICATE is due */                                    \
    X(CHECK, check)         /* the password is being checked, or its refusal has to wait */        \
    X(MIRROR, mirror)       /* the folder tree is being mirrored */                                \
    X(ENTER, enter)         /* connecting to the new host */                                       \
    X(READY, ready)         /* commands are read and forwarded */                                  \
    X(DRAIN, drain)         /* a command waits for those in flight */                              \
    X(TOUCH, touch)         /* a command waits for a copy */                                       \
    X(OLD, old)             /* a command waits for the connection to the old host */               \
    X(APPEND, append)       /* a message streams through */                                        \
    X(WAIT, wait)           /* nothing is read until the replies of what is in flight came */      \
    X(LIST, list)           /* the listing is being sent */                                        \
    X(COMMIT, commit)       /* a change of structure is being recorded */                          \
    X(TRANSFER, transfer)   /* COPY or MOVE between the hosts */                                   \
    X(IDLE, idle)                                                                                  \
    X(HELD, held)           /* the selected mailbox is about to move: nothing begins */            \
    X(CARRY, carry)         /* it has: the session is carried over */                              \
    X(END, end)

enum session_state {
#define X(id, name) S_##id,
    SESSION_STATES(X)
#undef X
};

struct session;
struct flight;

/* ---- the command table (command.c) ---- */

enum command_flag {
    CF_AUTH = 1,          /* allowed when no mailbox is selected */
    CF_SELECTED = 2,      /* allowed when one is */
    CF_BARRIER = 4,       /* waits until nothing is in flight, and the next ones wait for it */
    CF_TOUCH = 8,         /* the mailbox it names must be at home on new first */
    CF_UID = 16,          /* it speaks of UIDs: so do its SEARCH numbers and MODIFIED */
    CF_SEARCH = 32,       /* its tag and kind of numbers are those of search replies */
    CF_MESSAGE = 64,      /* the reader gives CMD_MESSAGE */
    CF_TOUCH_INBOX = 128, /* the first mailbox it names must be at home on new if it is INBOX */
    CF_LOGOUT = 256,      /* waits for what is in flight only so long */
    CF_NEW = 512,         /* goes to new whatever is selected, unless it names a mailbox that is on old */
    CF_EITHER = 1024      /* one of the capabilities that it needs is enough */
};

struct command {
    const char *name;
    unsigned flags;
    uint64_t needs;                 /* capability that must have been offered */
    const char *grammar;            /* NULL: run() looks at the arguments itself */
    bool (*run)(struct session *s); /* NULL: forwarded to new */
    /* Takes the tagged reply. NULL: it is passed on. */
    void (*done)(struct session *s, struct flight *f, const struct resp *r);
};

/* A command that was sent to a host and has no tagged reply yet. */
struct flight {
    struct list node;
    enum unit_home side;
    uint32_t id;
    const struct command *row;
    bool answered;       /* STATUS: its data came */
    bool modseq;         /* STATUS: it asks for HIGHESTMODSEQ */
    bool append_limit;   /* STATUS: it asks for APPENDLIMIT */
    bool silent;         /* its end is no news for the client, whatever becomes of its host */
    struct buf view_name, new_name; /* the last mailbox it names */
    struct unit_seat seat;          /* of that mailbox, where it goes into one on old */
    char tag[];
};

/* ---- parts of a session ---- */

struct sign_in_try {
    struct buf login, key;  /* as typed; the account's */
    struct secret password; /* kept for STATUS of what is still on old; wiped at the end */
    unsigned attempts;
    bool login_mechanism; /* AUTHENTICATE LOGIN rather than PLAIN */
    char tag[64];         /* of the command; longer tags are refused before sign-in */
};

struct selecting {
    bool on;
    struct unit *unit;             /* NULL: one that is not known yet */
    uint32_t uidvalidity, uidnext; /* as the new host said, 0: it did not */
    bool qresync;                  /* it may bring a line for each message, too many to hold */
    bool modseq_told;              /* HIGHESTMODSEQ or NOMODSEQ came */
};

enum append_phase {
    APPEND_OFFER,  /* the literal was announced to new, the client waits for "+ " */
    APPEND_STREAM, /* its bytes go through */
    APPEND_NEXT,   /* the end of the command or another message is due */
};

struct append {
    enum append_phase phase;
    bool offered;  /* the reader waits to hear what becomes of a message */
    bool waiting;  /* new had still to say "+ " before the last event */
    uint64_t left; /* bytes of the message that the client has still to send */
    bool open;     /* the command to new is half written: that connection can only be aborted */
    bool refused;  /* new said no: what the client still sends is thrown away */
    uint32_t id;
};

/* What a host is saying, on its way to the client. Each host has its own: they speak at once. */
struct inlet {
    struct reply reply;
    struct resp_line line; /* one that is gathered first */
    struct buf *out;       /* where the reply goes: out or held */
    bool gathering;
};

enum idle_phase {
    IDLE_ASKED,
    IDLE_ON,
    IDLE_OVER,
    IDLE_BREAK, /* ended at the host, and not by the client */
    IDLE_AGAIN  /* begun again there */
};

struct carry;
struct lister;
struct transfer;

struct session {
    struct visitor visitor;
    struct task task;
    struct front *front;
    struct env *env;
    enum session_state state;
    const char *reason; /* why it ended, for the log */
    uint32_t id;
    bool greeted, secure; /* secure: TLS */

    struct stream *client;
    struct cmd_reader reader;
    struct buf out;   /* to the client, handed to the stream at the end of a step or at FLUSH_AT */
    struct buf later; /* lines of our own that wait for the end of a reply that streams through */
    bool midline;     /* such a reply has begun */
    enum unit_home mid_side; /* and that host sends it */
    struct timer clock; /* bounds on waiting for the client */
    struct timer beat;  /* progress lines, delays */
    struct timer rest;  /* of the connection to old */
    struct timer turn;  /* a touch has waited for long enough */
    uint64_t active_ms; /* the client sent or took bytes */
    uint64_t seen_in, seen_out;
    unsigned errors; /* bad commands in a row */

    struct door door;
    struct sign_in_try try;
    struct account *account;
    struct account_user user;
    struct imapc *old, *new_; /* DESIGN section 4: two upstreams */
    uint64_t old_failed_ms;   /* 0: never failed */
    uint64_t offered;         /* capabilities */
    uint64_t enabled;         /* by the client */
    uint64_t enabling, enable_told; /* ENABLE in flight: what it asks for, what the host granted */
    uint64_t host_enabled[HOME_NEW + 1]; /* what the connection was told */

    /* the command being worked on; its slices belong to the reader */
    struct cmd cmd;
    const struct command *row;
    struct tr_out args;
    bool hurry; /* LOGOUT has waited long enough for what is in flight */
    enum unit_home target; /* the host that it goes to */
    enum unit_home dest;   /* the home of the mailbox that it names, else as target */
    struct unit *touch;
    struct unit_seat dest_seat; /* the mailbox that is named is served from old, until the command is sent */
    uint64_t awake_ms; /* while it waits for a copy: new was last spoken to */
    struct append append;
    struct lister *list;
    struct transfer *transfer;
    struct store_wait wait;
    struct buf held; /* lines that wait: those of SELECT, a tagged reply that waits for the store */
    enum idle_phase idle;
    const char *idle_error;
    unsigned name_tries;  /* of other names for one that new refuses */
    bool left_for_delete; /* the selected mailbox was left since it is being deleted */

    struct list flights;
    unsigned n_flights;

    /* the selected mailbox */
    enum unit_home side; /* its home, where its commands go; NEW when none is selected */
    struct unit *unit;   /* NULL: none, or another person's on old (side is OLD then) */
    bool read_only;
    uint32_t view_uidvalidity;
    struct selecting selecting;
    struct unit_seat seat;    /* where it is one that is copied meanwhile: see held.c */
    enum session_state back;  /* from HELD and CARRY */
    struct carry *carry;
    struct seqs seqs;         /* messages that the client counts and its host has not; see view.seqs */
    bool saved;               /* a search saved its result (RFC 5182) */
    struct reply_view view;
    struct uidmap identity; /* the map of what is served from old */
    struct inlet inlets[HOME_NEW + 1];
    bool unmapped_logged;
};

/* ---- session.c ---- */
void session_new(struct front *f, struct stream *client, bool implicit_tls);
void session_wake(struct session *s);
/* Logs the change of state at debug. */
void session_enter(struct session *s, enum session_state next);
/* Ends the session after this step; reason is a stable word for the log. */
void session_end(struct session *s, const char *reason);
/* The same with "* BYE text", unless a reply is half sent. */
void session_bye(struct session *s, const char *reason, const char *text);
struct slice session_input(struct session *s);
void session_consume(struct session *s, size_t n);
bool session_eof(struct session *s); /* the client will send nothing more */
void session_flush(struct session *s);
uint64_t session_now(const struct session *s);
const struct settings *session_settings(const struct session *s);
void session_apply_limits(struct session *s);

/* ---- hosts.c: the two connections ---- */
struct imapc *session_host(struct session *s, enum unit_home side);
bool session_selected(const struct session *s);
/* The connection to old is ready for a command; else S_OLD waits for it, and runs the command then. */
bool host_old_ready(struct session *s);
/* Connects where needed. BUSY: the task is woken; FAILED: it cannot be reached now. */
enum readiness host_old_try(struct session *s);
/* Leaves the mailbox that is selected at its host, which is not told to the client. */
void host_leave_mailbox(struct session *s);
void host_keep_awake(struct session *s);
void host_look_at_old(struct session *s);
/* It failed: commands in flight there are answered. */
void host_lost_old(struct session *s, const struct err *e);
void host_lost_new(struct session *s, const struct err *e);

/* ---- enable.c ---- */
/* The client knows these extensions. */
void session_enable(struct session *s, uint64_t bits);
/* Tells the host what the client enabled, unless it was told. Before a command is sent there. */
void host_enable(struct session *s, enum unit_home side);
void enabled_line(struct session *s, enum unit_home side, struct slice names);

/* ---- say.c: lines of our own ---- */
struct buf *session_out(struct session *s); /* where a line may be written now */
void session_printf(struct session *s, const char *fmt, ...) PRINTF(2, 3);
/* "tag OK|NO|BAD text"; text may begin with a [CODE]. What it holds of a peer's words is made
 * harmless. */
void session_tagged(struct session *s, struct slice tag, const char *cond, const char *text);
void session_continue(struct session *s, const char *text);
/* A mailbox name as an astring, or a literal where it has to be. */
void session_put_name(struct buf *out, struct slice name);
/* The command being worked on is over; bad ones count towards max_errors. Back to READY or GUEST.
 */
void session_done(struct session *s);
void session_ok(struct session *s, const char *text);
void session_no(struct session *s, const char *text);
void session_no_err(struct session *s, const char *code, const struct err *e);
void session_bad(struct session *s, const char *text);
/* "* OK [INPROGRESS …] text" now and every progress_seconds; call it whenever the wait is looked
 * at. */
void session_progress(struct session *s, struct slice tag, uint64_t done, uint64_t total,
                      const char *text);

/* ---- held.c: while the selected mailbox moves ---- */
bool held_called(const struct session *s); /* nothing may begin: the session is to stand still */
/* At a command boundary it does so now: true. */
bool held_look(struct session *s);
void held_go_on(struct session *s);

/* ---- carry.c ---- */
/* What hosts say meanwhile is no reply for the client. */
bool carry_takes(struct session *s, enum unit_home side, const struct resp *r);
bool carry_takes_status(struct session *s, enum unit_home side, const struct resp *r);
void carry_free(struct session *s);

/* ---- states: true when progress was made ---- */
#define X(id, name) bool state_##name(struct session *s);
SESSION_STATES(X)
#undef X

/* ---- guest.c, signin.c ---- */
bool guest_command(struct session *s);
void sign_in_begin(struct session *s);
struct imapc *session_connect_old(struct session *s); /* NULL: no name there */
bool session_plain_ok(
    const struct session *s); /* passwords are taken on this connection as it is */
uint64_t session_append_limit(struct session *s); /* bytes of a message; once signed in */
void session_put_capability(struct session *s, struct buf *out);

/* ---- command.c ---- */
/* The reader's next event into s->cmd; what needs no decision is answered here. False: more input
 * is needed. */
bool command_next(struct session *s);
bool command_begin(struct session *s);
/* Arguments of a command for a host: literals inline are sent as strings. */
void command_put_args(struct imapc *c, struct slice text);
/* Runs what was translated, once the hosts that it needs are there. */
bool command_run(struct session *s);
/* Sends the translated command to its target; WAIT for a barrier, else READY. */
bool command_forward(struct session *s);
/* NO [code] or text; a SELECT that fails takes the selected mailbox away. e may be NULL. */
bool command_refuse(struct session *s, const char *text, const struct err *e);
struct flight *command_flight(struct session *s, enum unit_home side, uint32_t id);
/* One that is no command of the client's. */
struct flight *flight_new(struct session *s, enum unit_home side, uint32_t id, const struct command *row, struct slice tag);
/* Messages that the client still counts, and that are gone, are told; a command is in progress that allows it. */
void session_tell_gone(struct session *s);

/* ---- upstream.c ---- */
bool upstream_pump(struct session *s, enum unit_home side);
void upstream_flight_free(struct session *s, struct flight *f);
/* Appends "tag COND [code] text" of a tagged reply, translated. */
void upstream_put_tagged(struct session *s, struct flight *f, const struct resp *r,
                         struct buf *out);

/* The mailbox that something was put into: its map and the view's UIDVALIDITY. False: not known. */
bool upstream_find_dest(struct session *s, enum unit_home side, struct slice view_name,
                        struct slice host_name, uint32_t uidvalidity, struct code_dest *out);

/* ---- transfer.c: COPY and MOVE from one host to the other ---- */
bool transfer_run(struct session *s);
/* What the source says to it is no reply for the client. */
bool transfer_takes(struct session *s, enum unit_home side, const struct resp *r);
bool transfer_full(const struct session *s); /* read no further from the source */
void transfer_free(struct transfer **t);

/* ---- run and done functions of the command table ---- */
bool own_capability(struct session *s);
bool own_id(struct session *s);
bool own_namespace(struct session *s);
bool own_enable(struct session *s);
void enable_done(struct session *s, struct flight *f, const struct resp *r);
bool own_logout(struct session *s);
bool own_compress(struct session *s);
bool own_refuse_signed_in(struct session *s);
bool idle_run(struct session *s);
void idle_again(struct session *s); /* at the host; the client idles all the time */
void idle_go(struct session *s);
void idle_done(struct session *s, struct flight *f, const struct resp *r);
bool select_run(struct session *s);
/* UIDVALIDITY came: where it is the one on record, what follows need not wait for the end. */
void select_known(struct session *s);
struct modseq unit_modseq(const struct unit *u); /* u may be NULL */
void select_done(struct session *s, struct flight *f, const struct resp *r);
bool unselect_run(struct session *s);
void close_done(struct session *s, struct flight *f, const struct resp *r);
void session_deselect(struct session *s);
bool list_run(struct session *s);
void list_done(struct session *s, struct flight *f, const struct resp *r);
void list_line(struct session *s, enum unit_home side, const struct resp_line *line);
void list_free(struct lister **l);
bool status_run(struct session *s);
/* The items that this host knows of a list of STATUS items; false: none of them. */
bool status_items_for(struct imapc *c, struct slice items, struct buf *out);
void status_line(struct session *s, enum unit_home side, struct slice line);
/* quota.c: a quota root of the view, for new; a gathered QUOTA or QUOTAROOT; the beginning of a reply whose first
 * argument was gathered, false: it is not for the client. */
void quota_root_to_new(void *arg, struct slice view, struct buf *out);
void quota_line(struct session *s, enum unit_home side, const struct resp_line *line);
bool named_begin(struct session *s, enum unit_home side, const struct resp_line *line, struct buf *out);
bool append_run(struct session *s);
void append_done(struct session *s, struct flight *f, const struct resp *r);
void create_done(struct session *s, struct flight *f, const struct resp *r);
bool delete_run(struct session *s);
void delete_done(struct session *s, struct flight *f, const struct resp *r);
void rename_done(struct session *s, struct flight *f, const struct resp *r);

#endif
