# Echoes frames: sh echo.sh [1|2|4]
# A shell's variables hold no NUL, so only the length goes through one; dd copies the bytes, one at a time.
width=${1:-4}
take() { dd bs=1 count="$1" 2>/dev/null; }
while :; do
  octets=$(take "$width" | od -An -to1)
  [ -n "$octets" ] || exit 0
  length=0
  for octet in $octets; do
    length=$((length * 256 + 0$octet))
    printf "\\$octet"
  done
  take "$length"
done
