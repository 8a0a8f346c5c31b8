/*
 * The client-facing side: listeners, IMAP sessions with the translation of the view, submission sessions.
 *
 * One struct front per worker; owner: app. It reads env->settings in each step and opens the listeners that
 * they name at the start (addresses are not changed by a reload).
 */
#ifndef WHERRY_FRONT_FRONT_H
#define WHERRY_FRONT_FRONT_H

#include <stdbool.h>
#include "wherry/move/account.h"

struct front; /* opaque */

/* Opens the listeners of the settings. 0, or E_IO, E_INVAL (an address), E_TLS (TLS without a certificate) with
 * *e filled; then nothing is left open and *out is NULL. env is borrowed until front_free. */
int front_start(struct front **out, struct env *env, struct err *e) MUST_USE;
/* No new connections; every session gets "* BYE" or 421 at its next chance and ends. Running copies are not touched. */
void front_drain(struct front *f);
/* No session is left. */
bool front_idle(const struct front *f);
/* Closes listeners and sessions at once. Leaves NULL. */
void front_free(struct front **f);
/* After env->settings and env->tls_server were replaced: new connections use them. */
void front_reload(struct front *f);
/* The port of the i-th listener (imap, imaps, submission, submissions, dav), 0 when there is none; for tests that ask for port 0. */
uint16_t front_port(const struct front *f, unsigned i);

#endif
