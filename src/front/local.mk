noinst_LIBRARIES += libfront.a
libfront_a_SOURCES = src/front/append.c src/front/caps.c src/front/carry.c src/front/carry.h src/front/carry_tell.c src/front/caps.h src/front/code.c \
	src/front/command.c src/front/door.c src/front/door.h src/front/enable.c src/front/fast.c \
	src/front/front.c src/front/guest.c src/front/held.c src/front/hosts.c src/front/list.c src/front/list.h \
	src/front/list_args.c src/front/list_status.c src/front/modseq.c src/front/modseq.h \
	src/front/offer.c src/front/own.c src/front/params.c src/front/quota.c \
	src/front/reply.c src/front/reply.h src/front/say.c src/front/search.c src/front/seqs.c src/front/seqs.h src/front/select.c \
	src/front/session.c src/front/session.h src/front/signin.c src/front/starter.c src/front/status.c \
	src/front/structure.c src/front/submission.c src/front/submission.h \
	src/front/submission_data.c src/front/submission_guest.c src/front/submission_mail.c \
	src/front/submission_turn.c src/front/transfer.c src/front/transfer.h src/front/transfer_source.c src/front/translate.c src/front/translate.h src/front/translate_names.c src/front/upstream.c \
	src/front/visitor.h include/wherry/front/front.h
# Calendars and contacts.
libfront_a_SOURCES += src/front/dav.c src/front/dav.h src/front/dav_answer.c src/front/dav_ask.c src/front/dav_ask.h \
	src/front/dav_carry.c src/front/dav_forward.c src/front/dav_listing.c src/front/dav_request.c \
	src/front/dav_rewrite.c src/front/dav_rewrite.h src/front/dav_route.c src/front/dav_sync.c src/front/dav_view.c
