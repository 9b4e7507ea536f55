/* An Envoy HTTP filter that hands whole requests to a Python event loop in this process, and its answers back.
 *
 * Envoy's workers put requests into one bounded queue and write an eventfd when it was empty; they never wait for Python
 * and know nothing of it. Its loop takes many requests at once, as packed bytes (bridge_take), and gives many answers at
 * once (bridge_answer). Each stream is then woken on its own worker by Envoy's scheduler and answered there.
 *
 * The other side is services/router/headrace_router/data/transports/envoy/filter_bridge.py. Numbers are in the machine's byte order.
 */
#include "envoy_abi.h"
#include "repeated_answers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- What is kept ---- */

enum { MOST_WANTED = 64, MOST_HEADERS = 256, MOST_REFUSAL = 16, MOST_CHUNKS = 256 };
enum { NO_SLOT = UINT32_MAX };
enum { CANCELLED = 1, TOO_LARGE = 2, TOO_SLOW = 4, TOO_MANY = 8 };   /* flags of a record */
enum { ANSWERED = 0 };   /* events of the scheduler; another one is the flag with which a request is given up */

/* A record that Python takes: this; a number for each wanted header that is there, its place in the list of wanted ones
 * and the length of its value (PLACE_SHIFT); the values; the body. Of a cancelled request there is only this. */
typedef struct { uint32_t length, flags; uint64_t id, connection; uint32_t headers, body; } Head;
enum { PLACE_SHIFT = 24 };
/* The first of the wanted headers differ from one request to the next: which connection, which request, which timeout.
 * They come first in a record. */
enum { CONNECTION, REQUEST_ID, TIMEOUT, VARYING };
enum { MOST_REPEATED_BODY = 64 * 1024 };

/* An answer of Python's: this, and so many bytes of headers, body and trailers. A header is the lengths of its name and of
 * its value, in 16 bits each, and the two. */
typedef struct { uint64_t id; uint32_t headers, body, trailers, unused; } AnswerHead;

/* One request. The worker's until it is queued; what both sides touch is behind the lock. */
typedef struct Stream {
  char *record;
  size_t length, room;
  void *scheduler;
  char *answer;
  struct Stream *next, *previous;   /* in `list` */
  struct List *list;                /* of those that are not whole yet, or the queue; NULL in neither */
  uint32_t slot;                    /* NO_SLOT when Python does not know it, or has answered */
  int64_t began_ns, timeout_ms;     /* of its caller; INT64_MAX without one */
  bool passed_on, gone, grpc;
  atomic_int references;            /* the filter's, and one of each waking that is on its way */
} Stream;

typedef struct List { Stream *first, *last; } List;
typedef struct { Stream *stream; uint32_t generation, next_free; } Slot;

static struct {
  pthread_mutex_t lock;
  int event;
  bool signalled;
  List unfinished, queue;
  Slot *slots;                      /* requests that Python has not answered; an id is a slot and its generation */
  uint32_t most_requests, most_unfinished, unfinished_count, free_slot, cancelled_count;
  uint64_t *cancelled;
  size_t most_bytes, most_body;
  atomic_size_t bytes;              /* of requests that are not whole, or not taken yet */
  Bytes wanted[MOST_WANTED];
  Header refusal[MOST_REFUSAL];     /* of gRPC; REST has a body */
  size_t wanted_count, refusal_count;
  Bytes rest_refusal;
} state = {
  .lock = PTHREAD_MUTEX_INITIALIZER, .event = -1, .free_slot = NO_SLOT,
  .refusal = {{":status", 7, "503", 3}}, .refusal_count = 1,
};

static const Header REST_REFUSAL[] = {
  {":status", 7, "429", 3}, {"content-type", 12, "application/json", 16}, {"retry-after", 11, "1", 1},
};
static const char GRPC[] = "application/grpc";

static uint64_t id_of(uint32_t slot) { return (uint64_t)state.slots[slot].generation << 32 | slot; }

/* The following up to `signal_python` are called with the lock held. */

static void leave_list(Stream *s) {
  if (!s->list) return;
  if (s->list == &state.unfinished) state.unfinished_count--;
  *(s->previous ? &s->previous->next : &s->list->first) = s->next;
  *(s->next ? &s->next->previous : &s->list->last) = s->previous;
  s->list = NULL;
}

static void join_list(Stream *s, List *list) {
  leave_list(s);
  s->list = list;
  s->next = NULL;
  s->previous = list->last;
  *(list->last ? &list->last->next : &list->first) = s;
  list->last = s;
}

/* Have a request's own worker hand it over although it is not whole. */
static void give_up(Stream *s, uint32_t flag) {
  leave_list(s);
  CALLBACK(filter_scheduler_commit)(s->scheduler, flag);
}

static void free_slot(Stream *s) {
  Slot *slot = &state.slots[s->slot];
  slot->stream = NULL;
  slot->generation++;
  slot->next_free = state.free_slot;
  state.free_slot = s->slot;
  s->slot = NO_SLOT;
}

static void signal_python(void) {
  uint64_t one = 1;
  if (!state.signalled) state.signalled = write(state.event, &one, sizeof one) == sizeof one;
}

static void forget_record(Stream *s) {
  atomic_fetch_sub(&state.bytes, s->length);
  free(s->record);
  s->record = NULL;
  s->length = s->room = 0;
}

static void release(Stream *s) {
  if (atomic_fetch_sub(&s->references, 1) > 1) return;
  if (s->scheduler) CALLBACK(filter_scheduler_delete)(s->scheduler);
  free(s->answer);
  free(s);
}

/* Parse the configuration in place; it is never freed, for names and values point into it. */
static bool configured(char *config) {
  uint32_t most_requests;
  char *bounds = strsep(&config, "\n"), *wanted = strsep(&config, "\n"), *rest = strsep(&config, "\n");
  if (!rest || sscanf(bounds, "%u %u %zu %zu", &most_requests, &state.most_unfinished, &state.most_bytes,
                        &state.most_body) != 4) return false;
  for (char *word; (word = strsep(&wanted, " ")) && state.wanted_count < MOST_WANTED;)
    state.wanted[state.wanted_count++] = (Bytes){word, strlen(word)};
  state.rest_refusal = (Bytes){rest, strlen(rest)};
  state.refusal_count = 0;
  for (char *value; (value = strsep(&config, "\n")) && state.refusal_count < MOST_REFUSAL;) {
    char *key = strsep(&value, " ");
    if (value) state.refusal[state.refusal_count++] = (Header){key, strlen(key), value, strlen(value)};
  }
  state.slots = calloc(most_requests, sizeof *state.slots);
  state.cancelled = calloc(most_requests, sizeof *state.cancelled);
  if (!state.slots || !state.cancelled) return false;
  for (uint32_t i = 0; i < most_requests; i++) state.slots[i].next_free = i + 1 < most_requests ? i + 1 : NO_SLOT;
  state.most_requests = most_requests;
  state.free_slot = 0;
  return true;
}

/* ---- Python's side ---- */

/* Open the queue and return the eventfd that is readable while there may be something to take; -1 when it cannot be.
 *
 * The configuration, in lines: the most requests that wait, and that are not whole; the most bytes of all, and those of
 * one body; the names of the wanted headers; the body of REST's answer when there is no memory left; then `name value`
 * for each header of gRPC's. Of requests that are not whole yet, that which began first is passed on as it is when
 * there is one more: others come within milliseconds. */
int bridge_open(const char *config) {
  pthread_mutex_lock(&state.lock);
  if (state.event < 0 && configured(strdup(config))) state.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  pthread_mutex_unlock(&state.lock);
  return state.event;
}

/* Copy as many records as fit and return their bytes; 0 when there is none, and minus the room that the next one needs
 * when not even that fits. */
int64_t bridge_take(char *into, size_t room) {
  size_t used = 0;
  pthread_mutex_lock(&state.lock);
  while (state.cancelled_count && used + sizeof(Head) <= room) {
    Head head = {.length = sizeof head, .flags = CANCELLED, .id = state.cancelled[--state.cancelled_count]};
    memcpy(into + used, &head, sizeof head);
    used += sizeof head;
  }
  for (Stream *s; (s = state.queue.first) && used + s->length <= room;) {
    memcpy(into + used, s->record, s->length);
    used += s->length;
    leave_list(s);
    forget_record(s);
  }
  Stream *next = state.queue.first;
  if (!next && state.signalled) {
    uint64_t ignored;
    state.signalled = read(state.event, &ignored, sizeof ignored) < 0;
  }
  int64_t found = used || !next ? (int64_t)used : -(int64_t)next->length;
  pthread_mutex_unlock(&state.lock);
  return found;
}

/* Take answers and wake their streams; those of requests that are gone are left out. */
void bridge_answer(const char *answers, size_t length) {
  Stream *waking[64];
  for (size_t at = 0; at < length;) {
    size_t count = 0;
    pthread_mutex_lock(&state.lock);
    while (at < length && count < sizeof waking / sizeof *waking) {
      AnswerHead head;
      memcpy(&head, answers + at, sizeof head);
      size_t size = sizeof head + head.headers + head.body + head.trailers;
      const char *answer = answers + at;
      at += size;
      uint32_t slot = (uint32_t)head.id;
      if (slot >= state.most_requests || head.id != id_of(slot)) continue;
      Stream *s = state.slots[slot].stream;
      if (!s || s->list || !(s->answer = malloc(size))) continue;
      memcpy(s->answer, answer, size);
      free_slot(s);
      atomic_fetch_add(&s->references, 1);
      waking[count++] = s;
    }
    pthread_mutex_unlock(&state.lock);
    for (size_t i = 0; i < count; i++) {
      CALLBACK(filter_scheduler_commit)(waking[i]->scheduler, ANSWERED);
      release(waking[i]);
    }
  }
}

/* Have requests that are not whole so many milliseconds after they began, or within their timeout, passed on as they are. */
void bridge_give_up(int64_t after_ms) {
  int64_t now = now_ns();
  pthread_mutex_lock(&state.lock);
  for (Stream *s = state.unfinished.first, *next; s; s = next) {
    next = s->next;
    if ((now - s->began_ns) / 1000000 > (s->timeout_ms < after_ms ? s->timeout_ms : after_ms)) give_up(s, TOO_SLOW);
  }
  pthread_mutex_unlock(&state.lock);
}

/* ---- A worker's side ---- */

/* Append to the record; false when there is no room in this stream or for all. */
static bool append(Stream *s, const void *from, size_t length) {
  if (s->length + length > s->room) {
    size_t room = s->room ? s->room : 1024;
    while (room < s->length + length) room *= 2;
    char *grown = realloc(s->record, room);
    if (!grown) return false;
    s->record = grown;
    s->room = room;
  }
  memcpy(s->record + s->length, from, length);
  s->length += length;
  return atomic_fetch_add(&state.bytes, length) + length <= state.most_bytes;
}

/* The stream is over for Python: answered, refused, or its client has left. */
static void leave(Stream *s) {
  pthread_mutex_lock(&state.lock);
  bool taken = s->slot != NO_SLOT && !s->list;
  s->gone = true;
  leave_list(s);
  if (taken && state.cancelled_count < state.most_requests) {
    state.cancelled[state.cancelled_count++] = id_of(s->slot);
    signal_python();
  }
  if (s->slot != NO_SLOT) free_slot(s);
  pthread_mutex_unlock(&state.lock);
}

static void refuse(void *filter, Stream *s) {
  leave(s);
  forget_record(s);
  s->passed_on = true;
  if (s->grpc || !state.rest_refusal.length) {
    CALLBACK(send_response_headers)(filter, state.refusal, state.refusal_count, true);
    return;
  }
  CALLBACK(send_response_headers)(filter, REST_REFUSAL, sizeof REST_REFUSAL / sizeof *REST_REFUSAL, false);
  CALLBACK(send_response_data)(filter, state.rest_refusal, true);
}

static bool is(const Header *header, const char *name, size_t length) {
  return header->name_length == length && !memcmp(header->name, name, length);
}

/* The milliseconds of a grpc-timeout, INT64_MAX for none: Python says what is wrong with it. */
static int64_t timeout_of(const char *value, size_t length) {
  static const struct { char unit; int64_t ms, parts; } UNITS[] = {   /* eight digits of any fit into 64 bits */
    {'H', 3600000, 1}, {'M', 60000, 1}, {'S', 1000, 1}, {'m', 1, 1}, {'u', 1, 1000}, {'n', 1, 1000000},
  };
  int64_t number = 0;
  if (length < 2 || length > 9) return INT64_MAX;
  for (size_t i = 0; i < length - 1; i++) {
    if (value[i] < '0' || value[i] > '9') return INT64_MAX;
    number = number * 10 + value[i] - '0';
  }
  for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++)
    if (value[length - 1] == UNITS[i].unit) return number * UNITS[i].ms / UNITS[i].parts;
  return INT64_MAX;
}

static bool varies(uint32_t place) { return place >> PLACE_SHIFT < VARYING; }
static size_t length_of(uint32_t place) { return place & ((1u << PLACE_SHIFT) - 1); }

/* Begin the record with the head and the wanted headers. */
static bool begin(void *filter, Stream *s) {
  Header headers[MOST_HEADERS];
  const char *values[MOST_HEADERS];
  uint32_t places[MOST_HEADERS];
  Head head = {0};
  size_t count = CALLBACK(get_headers_size)(filter, REQUEST_HEADERS);
  if (count > MOST_HEADERS || !CALLBACK(get_headers)(filter, REQUEST_HEADERS, headers)) return false;
  CALLBACK(filter_get_attribute_int)(filter, CONNECTION_ID, &head.connection);
  for (size_t h = 0; h < count; h++) {
    if (is(&headers[h], "grpc-timeout", 12)) s->timeout_ms = timeout_of(headers[h].value, headers[h].value_length);
    if (is(&headers[h], "content-type", 12))
      s->grpc = headers[h].value_length >= sizeof GRPC - 1 && !memcmp(headers[h].value, GRPC, sizeof GRPC - 1);
    for (size_t w = 0; w < state.wanted_count; w++)
      if (headers[h].value_length < 1u << PLACE_SHIFT && is(&headers[h], state.wanted[w].at, state.wanted[w].length)) {
        values[head.headers] = headers[h].value;
        places[head.headers++] = (uint32_t)(w << PLACE_SHIFT | headers[h].value_length);
        break;
      }
  }
  bool fits = append(s, &head, sizeof head);
  /* Those that vary, then the others, each in their order. */
  for (int others = 0; others < 2; others++)
    for (uint32_t i = 0; i < head.headers; i++)
      if (varies(places[i]) != others) fits = fits && append(s, &places[i], sizeof places[i]);
  for (int others = 0; others < 2; others++)
    for (uint32_t i = 0; i < head.headers; i++)
      if (varies(places[i]) != others) fits = fits && append(s, values[i], length_of(places[i]));
  s->scheduler = CALLBACK(filter_scheduler_new)(filter);
  s->began_ns = now_ns();
  return fits;
}

static bool add_body(void *filter, Stream *s) {
  Bytes chunks[MOST_CHUNKS];
  Head *head = (Head *)s->record;
  size_t size = CALLBACK(get_body_size)(filter, RECEIVED_REQUEST_BODY);
  if (!size) return true;
  if (head->body + size > state.most_body) {   /* Python says so, in its words */
    head->flags |= TOO_LARGE;
    return true;
  }
  size_t count = CALLBACK(get_body_chunks_size)(filter, RECEIVED_REQUEST_BODY);
  if (count > MOST_CHUNKS || !CALLBACK(get_body_chunks)(filter, RECEIVED_REQUEST_BODY, chunks)) return false;
  head->body += (uint32_t)size;
  bool fits = true;
  for (size_t i = 0; fits && i < count; i++) fits = append(s, chunks[i].at, chunks[i].length);
  return fits;
}

static size_t unpack(Header *into, const char *from, size_t length) {
  size_t count = 0;
  for (size_t at = 0; at + 4 <= length && count < MOST_HEADERS;) {
    uint16_t lengths[2];
    memcpy(lengths, from + at, sizeof lengths);
    const char *name = from + at + sizeof lengths;
    into[count++] = (Header){name, lengths[0], name + lengths[0], lengths[1]};
    at += sizeof lengths + lengths[0] + lengths[1];
  }
  return count;
}

static void send(void *filter, const char *answer) {
  Header headers[MOST_HEADERS];
  AnswerHead head;
  memcpy(&head, answer, sizeof head);
  const char *at = answer + sizeof head, *body = at + head.headers, *trailers = body + head.body;
  size_t count = unpack(headers, at, head.headers);
  CALLBACK(send_response_headers)(filter, headers, count, !head.body && !head.trailers);
  if (head.body) CALLBACK(send_response_data)(filter, (Bytes){body, head.body}, !head.trailers);
  if (head.trailers) {
    count = unpack(headers, trailers, head.trailers);
    CALLBACK(send_response_trailers)(filter, headers, count);
  }
}

static void send_answer(void *filter, Stream *s) {
  char *answer = s->answer;
  if (!answer) return;
  s->answer = NULL;   /* what Envoy takes it copies, and it may be long until that is read */
  send(filter, answer);
  free(answer);
}

/* Take the record of a whole request apart; false for one whose answer can't be another's. */
static bool comparable(const Stream *s, Asked *asked) {
  const Head *head = (const Head *)s->record;
  const uint32_t *places = (const uint32_t *)(head + 1);
  const char *value = (const char *)(places + head->headers), *end = s->record + s->length;
  uint32_t at = 0, count[VARYING] = {0};
  for (; at < head->headers && varies(places[at]); value += length_of(places[at++])) {
    count[places[at] >> PLACE_SHIFT]++;
    if (places[at] >> PLACE_SHIFT == REQUEST_ID) asked->request_id = (Bytes){value, length_of(places[at])};
  }
  asked->shape = (Bytes){(const char *)(places + at), (head->headers - at) * sizeof *places};
  asked->values = (Bytes){value, (size_t)(end - value) - head->body};
  asked->body = (Bytes){end - head->body, head->body};
  asked->began_ns = s->began_ns;
  bool in_time = count[TIMEOUT] ? count[TIMEOUT] == 1 && s->timeout_ms > 0 && s->timeout_ms < INT64_MAX : true;
  return count[REQUEST_ID] == 1 && in_time && head->body <= MOST_REPEATED_BODY;
}

/* Answer a whole request as another like it was answered, if Python has said so. */
static bool repeat(void *filter, Stream *s) {
  Asked asked;
  const char *answer = comparable(s, &asked) ? repeated_answer(&asked) : NULL;
  if (!answer) return false;
  leave(s);
  forget_record(s);
  s->passed_on = true;
  send(filter, answer);
  repeated_answer_sent();
  return true;
}

static void pass_on(void *filter, Stream *s, uint32_t flags) {
  Head *head = (Head *)s->record;
  if (!(flags | head->flags) && repeat(filter, s)) return;
  head->length = (uint32_t)s->length;
  head->flags |= flags;
  s->passed_on = true;
  pthread_mutex_lock(&state.lock);
  uint32_t slot = s->slot = state.free_slot;
  if (slot != NO_SLOT) {
    state.free_slot = state.slots[slot].next_free;
    state.slots[slot].stream = s;
    head->id = id_of(slot);
    join_list(s, &state.queue);
    signal_python();
  }
  pthread_mutex_unlock(&state.lock);
  if (slot == NO_SLOT) refuse(filter, s);
}

/* ---- Envoy's hooks ---- */

const char *envoy_dynamic_module_on_program_init(void) { return "v0.1.0"; }

/* Python configures everything (bridge_open): without it, every request is refused. */
const void *HOOK(config_new)(void *config, Bytes name, Bytes settings) {
  (void)config, (void)name, (void)settings;
  return &state;
}

void HOOK(config_destroy)(const void *config) { (void)config; }

const void *HOOK(new)(const void *config, void *filter) {
  (void)config, (void)filter;
  Stream *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->slot = NO_SLOT;
  s->references = 1;
  s->timeout_ms = INT64_MAX;
  return s;
}

int HOOK(request_headers)(void *filter, Stream *s, bool end) {
  if (!begin(filter, s)) {
    refuse(filter, s);
  } else if (end) {
    pass_on(filter, s, 0);
  } else {
    pthread_mutex_lock(&state.lock);
    join_list(s, &state.unfinished);
    if (++state.unfinished_count > state.most_unfinished) give_up(state.unfinished.first, TOO_MANY);
    pthread_mutex_unlock(&state.lock);
  }
  return STOP;
}

int HOOK(request_body)(void *filter, Stream *s, bool end) {
  if (s->passed_on) return STOP_WITHOUT_BUFFERING;
  if (!add_body(filter, s)) refuse(filter, s);
  else if (end || ((Head *)s->record)->flags & TOO_LARGE) pass_on(filter, s, 0);
  return STOP_WITHOUT_BUFFERING;
}

int HOOK(request_trailers)(void *filter, Stream *s) {
  if (!s->passed_on) pass_on(filter, s, 0);
  return STOP;
}

void HOOK(scheduled)(void *filter, Stream *s, uint64_t event) {
  if (s->gone) return;
  if (event == ANSWERED) send_answer(filter, s);
  else if (!s->passed_on) pass_on(filter, s, (uint32_t)event);
}

void HOOK(stream_complete)(void *filter, Stream *s) { (void)filter, leave(s); }

int HOOK(local_reply)(void *filter, Stream *s) { (void)filter, leave(s); return CONTINUE; }

void HOOK(destroy)(Stream *s) {
  leave(s);
  forget_record(s);
  release(s);
}

int HOOK(response_headers)(void) { return CONTINUE; }
int HOOK(response_body)(void) { return CONTINUE; }
int HOOK(response_trailers)(void) { return CONTINUE; }

/* Envoy looks these up too. They are of calls that nothing here makes, and of answers too long to be sent at once. */
#define NOTHING(name) void HOOK(name)(void) {}
NOTHING(http_callout_done)
NOTHING(http_stream_headers) NOTHING(http_stream_data) NOTHING(http_stream_trailers)
NOTHING(http_stream_complete) NOTHING(http_stream_reset)
NOTHING(downstream_above_write_buffer_high_watermark) NOTHING(downstream_below_write_buffer_low_watermark)
