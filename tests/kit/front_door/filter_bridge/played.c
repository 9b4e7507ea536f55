/* Plays both sides of deploy/envoy/filter_bridge at random: workers of Envoy's whose streams begin, bring a body in pieces, end,
 * are cut or answered by others, and a loop that takes, answers late, twice, never, or without a request. Some requests are
 * alike: the loop has their answers repeated, and withdraws them.
 *
 *     played SEED STEPS
 *
 * The filter is built in, so that a sanitizer sees all of it. Exits 0 when every answer came to its own request, each once,
 * no request was forgotten, nothing was left behind, and no answer was repeated that had been withdrawn. Callbacks are as unkind as Envoy's may be: a stream that
 * ends is destroyed before the callback that ended it returns.
 */
#include "filter_bridge.c"

#include <poll.h>
#include <stddef.h>

enum { WORKERS = 2, STREAMS = 48, SLOTS = 32, UNFINISHED = 12, MOST_BODY = 5000, PATIENCE_MS = 20000 };
#define TOLD "32 12 60000 5000\nx-connection x-request-id grpc-timeout :path te x-long\n" REST_BODY "\n:status 200\ngrpc-status 8"
#define REST_BODY "{\"reason\":\"FULL\"}"

enum { ALIKE = 8, ENTRIES = 6, LEASE = 1, ID_LENGTH = 20 };

/* The body of an answer that is repeated. epoch: of the loop, when it had it repeated. */
typedef struct { uint64_t sum, epoch; char request_id[ID_LENGTH], prediction_id[36], varint[5], decimal[10], pad; } Again;
/* As repeated_answers.c. */
typedef struct {
  int64_t computed_ms, until_ms;
  uint32_t number, lease, request_id, shape, values, body, answer, holes;
} Armed;
bool bridge_arm(const char *packed, size_t length);
void bridge_drop(uint32_t number);
void bridge_forget(void);
int32_t bridge_lease(uint32_t lease, int32_t tokens);
size_t bridge_repeated(char *into);

typedef struct Filter Filter;
typedef struct Post { Filter *filter; uint64_t event; struct Post *next; } Post;
typedef struct { pthread_mutex_t lock; Post *first, **last; uint64_t random; Filter *filters[STREAMS]; } Worker;

struct Filter {
  Worker *worker;
  Stream *stream;
  Header headers[8];
  size_t header_count, chunk_length;
  uint64_t connection;
  uint32_t sum, sent, alike;   /* alike: which of the bodies that come often it brings; 0 for another */
  char request_id[ID_LENGTH + 1];
  const char *chunk;
  bool whole, destroyed, answered, grpc, refused;
  atomic_int references;
};

static atomic_bool stopping, leaving;
static atomic_uint answers, refusals, cut, connections, repeated;
static atomic_ullong withdrawn;   /* epochs before this one */
static long steps;
static char text[MOST_BODY * 2];

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "line %d: %s\n", __LINE__, #what); abort(); } } while (0)

static uint32_t draw(uint64_t *random, uint32_t below) {
  *random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
  return (uint32_t)(*random >> 33) % below;
}

static void let_go(Filter *f) {
  if (atomic_fetch_sub(&f->references, 1) == 1) free(f);
}

static void destroy(Filter *f) {
  if (f->destroyed) return;
  f->destroyed = true;
  HOOK(stream_complete)(f, f->stream);
  HOOK(destroy)(f->stream);
  f->stream = NULL;
}

/* ---- What Envoy offers ---- */

size_t CALLBACK(get_headers_size)(void *filter, int type) { return (void)type, ((Filter *)filter)->header_count; }

bool CALLBACK(get_headers)(void *filter, int type, Header *into) {
  Filter *f = filter;
  memcpy(into, f->headers, f->header_count * sizeof *into);
  return type == REQUEST_HEADERS;
}

size_t CALLBACK(get_body_size)(void *filter, int type) { return (void)type, ((Filter *)filter)->chunk_length; }
size_t CALLBACK(get_body_chunks_size)(void *filter, int type) { return (void)filter, (void)type, 2; }

bool CALLBACK(get_body_chunks)(void *filter, int type, Bytes *into) {
  Filter *f = filter;
  size_t half = f->chunk_length / 2;
  into[0] = (Bytes){f->chunk, half}, into[1] = (Bytes){f->chunk + half, f->chunk_length - half};
  return type == RECEIVED_REQUEST_BODY;
}

bool CALLBACK(filter_get_attribute_int)(void *filter, int attribute, uint64_t *into) {
  *into = ((Filter *)filter)->connection;
  return attribute == CONNECTION_ID;
}

void CALLBACK(send_response_headers)(void *filter, const Header *headers, size_t count, bool end) {
  Filter *f = filter;
  if (f->destroyed) return;
  CHECK(count >= 2 && !memcmp(headers[0].name, ":status", 7));
  f->refused = !memcmp(headers[0].value, "429", 3);
  if (f->refused) CHECK(!end && !f->grpc);   /* a refusal of REST has a body */
  CHECK(!memcmp(headers[1].name, f->refused ? "content-type" : "grpc-status", 11));
  CHECK(!f->answered);
  f->answered = true;
  atomic_fetch_add(end || f->refused ? &refusals : &answers, 1);
  if (end || draw(&f->worker->random, 20) == 0) destroy(f);   /* the connection may break at any write */
}

void CALLBACK(send_response_data)(void *filter, Bytes data, bool end) {
  Filter *f = filter;
  if (f->destroyed) return;
  uint64_t told[3];
  if (f->refused) {
    CHECK(end && data.length == sizeof REST_BODY - 1 && !memcmp(data.at, REST_BODY, data.length));
    destroy(f);
    return;
  }
  if (data.length == sizeof(Again)) {
    Again again;
    memcpy(&again, data.at, sizeof again);
    CHECK(again.sum == f->sum && !memcmp(again.request_id, f->request_id, ID_LENGTH));
    CHECK(again.prediction_id[14] == '7' && again.prediction_id[23] == '-' && again.decimal[9] != ' ' && !(again.varint[4] & 128));
    CHECK(again.epoch >= atomic_load(&withdrawn));
    if (end) destroy(f);
    return;
  }
  CHECK(data.length == sizeof told);
  memcpy(told, data.at, sizeof told);
  CHECK(told[0] == f->connection);   /* nobody gets another's answer */
  if (!told[2]) CHECK(told[1] == f->sum);
  if (end) destroy(f);
}

void CALLBACK(send_response_trailers)(void *filter, Header *trailers, size_t count) {
  Filter *f = filter;
  if (f->destroyed) return;
  CHECK(count == 1 && trailers[0].value_length == 1);
  destroy(f);
}

void *CALLBACK(filter_scheduler_new)(void *filter) {
  Filter **scheduler = malloc(sizeof *scheduler);
  atomic_fetch_add(&(*scheduler = filter)->references, 1);
  return scheduler;
}

void CALLBACK(filter_scheduler_commit)(void *scheduler, uint64_t event) {
  Filter *f = *(Filter **)scheduler;
  Post *post = malloc(sizeof *post);
  *post = (Post){f, event, NULL};
  atomic_fetch_add(&f->references, 1);
  pthread_mutex_lock(&f->worker->lock);
  *f->worker->last = post, f->worker->last = &post->next;
  pthread_mutex_unlock(&f->worker->lock);
}

void CALLBACK(filter_scheduler_delete)(void *scheduler) { let_go(*(Filter **)scheduler), free(scheduler); }

/* ---- A worker ---- */

static void run_posts(Worker *w) {
  pthread_mutex_lock(&w->lock);
  Post *post = w->first;
  w->first = NULL, w->last = &w->first;
  pthread_mutex_unlock(&w->lock);
  while (post) {
    Post *next = post->next;
    if (!post->filter->destroyed) HOOK(scheduled)(post->filter, post->filter->stream, post->event);
    let_go(post->filter), free(post);
    post = next;
  }
}

static Filter *begin_stream(Worker *w) {
  Filter *f = calloc(1, sizeof *f);
  f->worker = w, f->references = 1;
  f->connection = atomic_fetch_add(&connections, 1) + 1;
  f->stream = (Stream *)HOOK(new)(HOOK(config_new)(NULL, (Bytes){0}, (Bytes){0}), f);
  f->headers[f->header_count++] = (Header){":path", 5, "/a/b", 4};
  f->grpc = draw(&w->random, 2);
  static const char *TIMEOUTS[] = {"20m", "99999999H", "99999999n", "20", "-1S", "20000u"};
  const char *timeout = TIMEOUTS[draw(&w->random, 6)];
  if (draw(&w->random, 2)) f->headers[f->header_count++] = (Header){"grpc-timeout", 12, timeout, strlen(timeout)};
  if (f->grpc) f->headers[f->header_count++] = (Header){"content-type", 12, "application/grpc+proto", 22};
  else if (draw(&w->random, 2)) f->headers[f->header_count++] = (Header){"content-type", 12, "application/json", 16};
  snprintf(f->request_id, sizeof f->request_id, "%020llu", (unsigned long long)f->connection);
  size_t id_length = draw(&w->random, 8) ? ID_LENGTH : draw(&w->random, ID_LENGTH);
  if (draw(&w->random, 8)) f->headers[f->header_count++] = (Header){"x-request-id", 12, f->request_id, id_length};
  if (draw(&w->random, 2)) {
    f->alike = 1 + draw(&w->random, ALIKE);
    HOOK(request_headers)(f, f->stream, false);
    return f;
  }
  if (draw(&w->random, 2)) f->headers[f->header_count++] = (Header){"unknown", 7, "x", 1};
  if (draw(&w->random, 4) == 0) f->headers[f->header_count++] = (Header){"x-long", 6, text, draw(&w->random, 3000)};
  f->whole = draw(&w->random, 8) == 0;
  HOOK(request_headers)(f, f->stream, f->whole);
  return f;
}

static void bring_body(Filter *f, bool end) {
  uint32_t draws = draw(&f->worker->random, 10);
  if (f->alike) {
    f->chunk_length = f->alike * 90, f->chunk = text + f->alike, end = true;
    for (size_t i = 0; i < f->chunk_length; i++) f->sum += (uint8_t)f->chunk[i];
    f->whole = true;
    HOOK(request_body)(f, f->stream, true);
    return;
  }
  f->chunk_length = draws == 0 ? 0 : draws == 1 ? draw(&f->worker->random, sizeof text) : draw(&f->worker->random, 800);
  f->chunk = text + draw(&f->worker->random, (uint32_t)(sizeof text - f->chunk_length));
  for (size_t i = 0; i < f->chunk_length; i++) f->sum += (uint8_t)f->chunk[i];
  f->whole = end;
  if (end && draw(&f->worker->random, 5) == 0) {   /* trailers end it instead */
    HOOK(request_body)(f, f->stream, false);
    if (!f->destroyed) HOOK(request_trailers)(f, f->stream);
  } else {
    HOOK(request_body)(f, f->stream, end);
  }
}

static void step(Worker *w, Filter **place) {
  Filter *f = *place;
  if (!f) {
    if (!atomic_load(&stopping)) *place = begin_stream(w);
  } else if (f->destroyed) {
    *place = NULL, let_go(f);
  } else if (!f->whole && !f->answered) {
    bring_body(f, atomic_load(&stopping) || draw(&w->random, 3) == 0);
  } else if (!atomic_load(&stopping) && draw(&w->random, 30) == 0) {
    atomic_fetch_add(&cut, 1);
    if (draw(&w->random, 2)) HOOK(local_reply)(f, f->stream);
    destroy(f);
  }
}

static void *work(void *worker) {
  Worker *w = worker;
  for (long i = 0; i < steps; i++) {
    step(w, &w->filters[draw(&w->random, STREAMS)]);
    if (draw(&w->random, 4) == 0) run_posts(w);
  }
  atomic_store(&stopping, true);
  bool waited_for = true;
  for (int64_t until = now_ns() + PATIENCE_MS * 1000000ll; waited_for; usleep(100)) {
    waited_for = false;
    for (size_t i = 0; i < STREAMS; i++) step(w, &w->filters[i]), waited_for |= w->filters[i] != NULL;
    run_posts(w);
    CHECK(now_ns() < until);   /* a request was forgotten */
  }
  return NULL;
}

/* ---- The loop ---- */

static size_t pack(char *into, uint64_t id, uint64_t connection, uint64_t sum, uint64_t flags, uint32_t form) {
  static const char begins[] = "\7\0\3\0:status200\13\0\1\0grpc-status0", ends[] = "\1\0\1\0a0";
  uint64_t body[3] = {connection, sum, flags};
  AnswerHead head = {id, sizeof begins - 1, form ? sizeof body : 0, form > 1 ? sizeof ends - 1 : 0, 0};
  char *at = mempcpy(mempcpy(into, &head, sizeof head), begins, head.headers);
  return (size_t)((char *)mempcpy(mempcpy(at, body, head.body), ends, head.trailers) - into);
}

/* Have the answer to a request repeated, whatever it is: what differs is left out of what is compared. */
static void arm(const char *taken, uint64_t sum, uint64_t epoch, uint64_t *random) {
  static const char begins[] = "\7\0\3\0:status200\13\0\1\0grpc-status0";
  Head head;
  memcpy(&head, taken, sizeof head);
  static _Alignas(Head) char record[MOST_BODY + 8192];
  memcpy(record, taken, head.length);
  const uint32_t *places = (const uint32_t *)(record + sizeof head);
  const char *value = (const char *)(places + head.headers), *end = record + head.length;
  uint32_t at = 0;
  for (; at < head.headers && varies(places[at]); value += length_of(places[at++])) {}
  Again again = {.sum = sum, .epoch = epoch};
  AnswerHead answer = {0, sizeof begins - 1, sizeof again, 0, 0};
  size_t body = sizeof answer + answer.headers;
  uint32_t holes[] = {
    (uint32_t)(body + offsetof(Again, request_id)), 1u << 28 | (uint32_t)(body + offsetof(Again, prediction_id)),
    2u << 28 | (uint32_t)(body + offsetof(Again, varint)), 3u << 28 | (uint32_t)(body + offsetof(Again, decimal)),
  };
  if (draw(random, 50) == 0) holes[draw(random, 4)] += 60000;   /* a hole beyond the answer is not taken */
  Armed armed = {
    now_ns() / 1000000, now_ns() / 1000000 + draw(random, 2000), draw(random, ENTRIES), LEASE, ID_LENGTH,
    (head.headers - at) * 4, (uint32_t)(end - value) - head.body, head.body, (uint32_t)(body + sizeof again), 4,
  };
  char packed[sizeof armed + MOST_BODY + 8192];
  char *to = mempcpy(mempcpy(packed, &armed, sizeof armed), places + at, armed.shape);
  to = mempcpy(mempcpy(mempcpy(mempcpy(to, value, armed.values + armed.body), &answer, sizeof answer), begins, answer.headers), &again, sizeof again);
  to = mempcpy(to, holes, sizeof holes);
  bridge_arm(packed, (size_t)(to - packed) - (draw(random, 50) == 0));   /* nor one that is cut */
}

static void *take_and_answer(void *seed) {
  enum { KEPT = 1024 };
  static struct { uint64_t id, connection, sum, flags; } kept[KEPT];
  uint64_t random = (uint64_t)(uintptr_t)seed;
  size_t room = 2048, count = 0;
  char *buffer = malloc(room), answer[256], *notes = malloc(8192 * 104);
  uint64_t epoch = 0;
  while (!atomic_load(&leaving)) {
    struct pollfd ready = {state.event, POLLIN, 0};
    int64_t taken = poll(&ready, 1, 1) == 1 ? bridge_take(buffer, room) : 0;
    if (taken < 0) buffer = realloc(buffer, room = (size_t)-taken), taken = bridge_take(buffer, room);
    for (int64_t at = 0; at < taken;) {
      Head head;
      memcpy(&head, buffer + at, sizeof head);
      const uint8_t *body = (uint8_t *)buffer + at + head.length - head.body;
      const char *record = buffer + at;
      at += head.length;
      if (head.flags & CANCELLED) continue;   /* it may be answered all the same */
      uint64_t sum = 0;
      for (uint32_t i = 0; i < head.body; i++) sum += body[i];
      if (!head.flags && head.headers > 1 && head.body && head.body < 800 && draw(&random, 2)) arm(record, sum, epoch, &random);
      CHECK(count < KEPT);
      kept[count].id = head.id, kept[count].connection = head.connection;
      kept[count].sum = sum, kept[count++].flags = head.flags;
    }
    if (draw(&random, 50) == 0) bridge_give_up(draw(&random, 3));
    if (draw(&random, 200) == 0) bridge_forget(), atomic_store(&withdrawn, ++epoch);
    if (draw(&random, 100) == 0) bridge_drop(draw(&random, ENTRIES + 1));
    if (draw(&random, 5) == 0) CHECK(bridge_lease(LEASE, (int32_t)draw(&random, 100)) >= 0);
    if (draw(&random, 3) == 0) atomic_fetch_add(&repeated, bridge_repeated(notes) / 104);
    for (uint32_t tries = draw(&random, 40); tries && count; tries--) {
      size_t one = draw(&random, (uint32_t)count);
      size_t size = pack(answer, kept[one].id, kept[one].connection, kept[one].sum, kept[one].flags, draw(&random, 3));
      bridge_answer(answer, size);
      if (draw(&random, 10)) kept[one] = kept[--count];   /* else once more later: its place may be another's by then */
    }
    size_t size = pack(answer, (uint64_t)draw(&random, 99) << 32 | draw(&random, 99) | 1u << 30, 0, 0, 0, 1);
    bridge_answer(answer, size);   /* nobody asked */
  }
  atomic_fetch_add(&repeated, bridge_repeated(notes) / 104);
  bridge_forget();
  free(buffer), free(notes);
  return NULL;
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  uint64_t seed = strtoull(arguments[1], NULL, 10) * 0x9E3779B97F4A7C15u | 1;
  steps = atol(arguments[2]);
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 31);
  CHECK(bridge_open(TOLD) >= 0);
  static Worker workers[WORKERS];
  pthread_t threads[WORKERS], loop;
  for (uint64_t i = 0; i < WORKERS; i++) {
    pthread_mutex_init(&workers[i].lock, NULL);
    workers[i].last = &workers[i].first, workers[i].random = seed + i * 77;
    CHECK(!pthread_create(&threads[i], NULL, work, &workers[i]));
  }
  CHECK(!pthread_create(&loop, NULL, take_and_answer, (void *)(uintptr_t)(seed + 1234567)));
  for (size_t i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
  atomic_store(&leaving, true);
  pthread_join(loop, NULL);
  for (size_t i = 0; i < WORKERS; i++) run_posts(&workers[i]);
  size_t free_slots = 0;
  for (uint32_t slot = state.free_slot; slot != NO_SLOT; slot = state.slots[slot].next_free) free_slots++;
  CHECK(free_slots == SLOTS && !state.bytes && !state.unfinished_count && !state.queue.first && !state.unfinished.first);
  CHECK(answers && refusals && cut && repeated);
  printf("%u answers, %u of them repeated, %u refusals, %u cut\n", answers, repeated, refusals, cut);
  return 0;
}
