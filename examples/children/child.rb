# A port program in Ruby: new Port('ruby', ['child.rb'])

# Frames keep the real stdout. Whatever prints to stdout from now on, a subprocess too, goes to stderr.
frames = $stdout.dup
$stdout.reopen($stderr)
[$stdin, frames].each(&:binmode) # bytes, not text
frames.sync = true # or the host waits forever

def answer(message)
  message # your work goes here
end

# `read` waits for all the bytes that it is asked for; nil is the end of the input.
while (header = $stdin.read(4))
  length = header.bytesize == 4 ? header.unpack1('N') : abort('the input ended inside a frame')
  message = $stdin.read(length)
  abort('the input ended inside a frame') if message.bytesize < length
  reply = answer(message)
  frames.write([reply.bytesize].pack('N') + reply)
end
