/* A port program in C: cc -O2 -o child child.c, then new Port('./child'); with the argument fd3, frames come on 3 and leave
   on 4 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *why) {
  fprintf(stderr, "%s\n", why);
  exit(1);
}

/* Your work goes here: what it returns is the reply, of *length bytes. */
static const unsigned char *answer(const unsigned char *message, uint32_t *length) {
  (void)length;
  return message;
}

int main(int argc, char **argv) {
  int apart = argc > 1 && strcmp(argv[1], "fd3") == 0;
  FILE *input = apart ? fdopen(3, "rb") : stdin;
  FILE *frames = fdopen(apart ? 4 : dup(STDOUT_FILENO), "wb");
  if (input == NULL || frames == NULL) fail("cannot open the frames");
  /* Frames keep the real stdout. Whatever prints to stdout from now on goes to stderr. */
  if (!apart && dup2(STDERR_FILENO, STDOUT_FILENO) < 0) fail("cannot turn prints away");

  unsigned char header[4], *message = NULL;
  size_t got;
  /* fread waits for all the bytes that it is asked for; none at all is the end of the input. */
  while ((got = fread(header, 1, 4, input)) > 0) {
    if (got < 4) fail("the input ended inside a frame");
    uint32_t length = (uint32_t)header[0] << 24 | header[1] << 16 | header[2] << 8 | header[3];
    unsigned char *larger = realloc(message, (size_t)length + 1);
    if (larger == NULL) fail("out of memory");
    message = larger;
    if (fread(message, 1, length, input) != length) fail("the input ended inside a frame");

    const unsigned char *reply = answer(message, &length);
    unsigned char prefix[4] = {length >> 24, length >> 16, length >> 8, length};
    fwrite(prefix, 1, 4, frames);
    fwrite(reply, 1, length, frames);
    if (fflush(frames) != 0) return 0; /* without the flush the host waits forever; a failure says that it has gone */
  }
  free(message);
  return 0;
}
