/* Answers: those of the daemon's own, and the frame of those that come from a host. */
#include "config.h"
#include "front/dav.h"
#include "wherry/base/clock.h"
#include "wherry/http/head.h"
#include <stdio.h>

void davs_head(struct dav_session *d, unsigned status)
{
    struct buf date = {0};
    /* A client that waits for 100 may or may not send the body now: what comes next would be unclear. */
    if (d->q != NULL && d->q->expect && !d->continued && !d->body_over)
        d->close = true;
    if (d->front->draining)
        d->close = true;
    http_put_status(&d->out, status);
    http_put_date(&date, clock_real_us() / 1000000);
    http_put_field(&d->out, "Date", buf_slice(&date));
    buf_free(&date);
    d->head_sent = true;
    d->status = status;
}

void davs_head_end(struct dav_session *d, const uint64_t *length, bool has_body)
{
    bool http10 = d->q == NULL || d->q->http10, bodiless = d->status == 204 || d->status == 304 || d->status < 200;
    has_body = has_body && !bodiless;
    if (length != NULL && !bodiless)
        buf_printf(&d->out, "Content-Length: %llu\r\n", (unsigned long long)*length);
    d->framing = !has_body ? FRAME_NONE : length != NULL ? FRAME_LENGTH : http10 ? FRAME_CLOSE : FRAME_CHUNKED;
    if (d->framing == FRAME_CHUNKED)
        buf_puts(&d->out, "Transfer-Encoding: chunked\r\n");
    if (d->framing == FRAME_CLOSE)
        d->close = true;
    if (d->close)
        buf_puts(&d->out, "Connection: close\r\n");
    else if (http10)
        buf_puts(&d->out, "Connection: keep-alive\r\n");
    buf_puts(&d->out, "\r\n");
}

static void put_out(struct dav_session *d)
{
    stream_put(d->client, buf_slice(&d->out));
    buf_clear(&d->out);
}

void davs_body(struct dav_session *d, struct slice bytes)
{
    if (d->framing == FRAME_CHUNKED)
        http_put_chunk(&d->out, bytes);
    else if (d->framing != FRAME_NONE)
        buf_put_slice(&d->out, bytes);
    put_out(d);
}

void davs_body_end(struct dav_session *d)
{
    if (d->framing == FRAME_CHUNKED)
        http_put_last_chunk(&d->out);
    put_out(d);
}

void davs_answer(struct dav_session *d, unsigned status, const char *more, struct slice body)
{
    uint64_t length = body.n;
    bool xml = body.n > 0 && body.p[0] == '<';
    davs_head(d, status);
    if (more != NULL)
        buf_puts(&d->out, more);
    if (body.n > 0)
        http_put_field(&d->out, "Content-Type",
                       slice_str(xml ? "application/xml; charset=utf-8" : "text/plain; charset=utf-8"));
    bool head = d->q != NULL && d->q->method == METHOD_HEAD;
    davs_head_end(d, &length, body.n > 0 && !head);
    davs_body(d, body);
    davs_body_end(d);
    davs_done(d);
}

void davs_say(struct dav_session *d, unsigned status, const char *text)
{
    struct buf body = {0};
    buf_printf(&body, "%s\n", text);
    davs_answer(d, status, NULL, buf_slice(&body));
    buf_free(&body);
}

void davs_error(struct dav_session *d, unsigned status, const char *element)
{
    struct buf body = {0};
    buf_printf(&body,
               "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
               "<D:error xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><%s/></D:error>\n",
               element);
    davs_answer(d, status, NULL, buf_slice(&body));
    buf_free(&body);
}

void davs_unavailable(struct dav_session *d, const char *text)
{
    char more[64];
    struct buf body = {0};
    snprintf(more, sizeof(more), "Retry-After: %d\r\n", DAV_RETRY_SECONDS);
    buf_printf(&body, "%s\n", text);
    davs_answer(d, 503, more, buf_slice(&body));
    buf_free(&body);
}

void davs_broken(struct dav_session *d, const char *cause, const struct err *e)
{
    davs_log(d, LOG_WARN, "answer_broken", cause, e);
    d->broken = d->head_sent;
    davs_end(d, cause);
}

/* ---- the end of a request ---- */

void davs_request_clear(struct dav_session *d)
{
    davs_release(d);
    davr_free(&d->up);
    rewrite_free(&d->rewrite);
    davs_listing_free(d);
    davs_carry_free(d);
    davs_sync_free(d);
    d->depth_one = d->carried = false;
    d->retries = 0;
    if (d->wait.pending)
        store_wait_forget(d->env->store, &d->wait);
    d->wait.pending = false;
    http_target_free(&d->target);
    http_target_free(&d->destination);
    buf_free(&d->body);
    buf_free(&d->item);
    buf_free(&d->new_href);
    timer_stop(&d->beat);
    d->from = d->to = (struct dav_place){0};
    d->q = NULL;
}

void davs_done(struct dav_session *d)
{
    bool over = d->body_over, close = d->close;
    log_event(worker_log(d->env->worker), LOG_DEBUG, "dav_request", log_n("session", d->id),
              log_s("method", d->q != NULL ? d->q->name : ""), log_v("path", buf_slice(&d->target.spelled)),
              log_n("status", d->status));
    davs_request_clear(d);
    if (d->lingers)
        davs_linger(d, "bad_request");
    else if (!over)
        davs_enter(d, DAVS_DISCARD);
    else if (close)
        davs_end(d, "answered");
    else
        davs_enter(d, DAVS_HEAD);
}

/* A connection that is closed while the client is still sending is reset, and the answer lost with it. */
static bool linger(struct dav_session *d)
{
    size_t n = davs_input(d).n;
    davs_consume(d, n);
    d->body_bytes += n;
    if (davs_eof(d) || d->beat.fired || d->body_bytes > DAV_DISCARD_BYTES)
        davs_end(d, d->reason);
    return n > 0 || d->state == DAVS_END;
}

void davs_linger(struct dav_session *d, const char *reason)
{
    d->reason = reason;
    d->lingers = true;
    d->body_bytes = 0;
    timer_start(&d->beat, DAV_LINGER_MS);
    davs_enter(d, DAVS_DISCARD);
}

bool davs_state_discard(struct dav_session *d)
{
    struct slice piece;
    size_t used;
    if (d->lingers)
        return linger(d);
    enum http_piece p = davs_read(d, &piece, &used);
    davs_consume(d, used);
    d->body_bytes += piece.n;
    if (p == HTTP_END && !d->close)
        davs_enter(d, DAVS_HEAD);
    else if (p == HTTP_END)
        davs_end(d, "answered");
    else if (p == HTTP_BAD || d->body_bytes > DAV_DISCARD_BYTES)
        davs_linger(d, "bad_request");
    else if (davs_eof(d))
        davs_end(d, "client_closed");
    return p != HTTP_MORE || d->state == DAVS_END;
}
