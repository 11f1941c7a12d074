/* Echoes frames: echo [1|2|4] */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  int width = argc > 1 ? atoi(argv[1]) : 4;
  unsigned char header[4], *message = NULL;
  while (fread(header, 1, width, stdin) == (size_t)width) {
    size_t length = 0;
    for (int i = 0; i < width; i++) length = length << 8 | header[i];
    message = realloc(message, length + 1);
    if (message == NULL || fread(message, 1, length, stdin) != length) return 1;
    fwrite(header, 1, width, stdout);
    fwrite(message, 1, length, stdout);
    fflush(stdout);
  }
  free(message);
  return 0;
}
