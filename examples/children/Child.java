// A port program in Java: new Port('java', ['Child.java']), or compiled, which starts faster.
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;

class Child {
  static byte[] answer(byte[] message) {
    return message; // your work goes here
  }

  public static void main(String[] args) throws IOException {
    var in = new DataInputStream(new BufferedInputStream(System.in));
    var out = new DataOutputStream(new BufferedOutputStream(System.out));
    System.setOut(System.err); // what prints to System.out from now on goes to stderr

    for (int first = in.read(); first >= 0; first = in.read()) { // -1 is the end of the input
      int length = first << 24 | in.readUnsignedByte() << 16 | in.readUnsignedShort();
      byte[] message = in.readNBytes(length); // waits for all of them
      if (message.length < length) throw new EOFException("the input ended inside a frame");
      byte[] reply = answer(message);
      out.writeInt(reply.length);
      out.write(reply);
      out.flush(); // or the host waits forever
    }
  }
}
