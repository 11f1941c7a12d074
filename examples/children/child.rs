// A port program in Rust: rustc -O -o child child.rs, then new Port('./child')
// Print with eprintln!, never with println!: stdout belongs to the frames.
use std::io::{self, ErrorKind, Read, Write};

fn answer(message: Vec<u8>) -> Vec<u8> {
    message // your work goes here
}

/// The next message; None at the end of the input.
fn read_message(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 4];
    // One byte first: no byte at all is the end, fewer than four are an error.
    if input.read(&mut header[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut header[1..])?;
    let length = u32::from_be_bytes(header) as u64;
    let mut message = Vec::new();
    // What has come is what it takes memory for, not what the header says.
    if input.take(length).read_to_end(&mut message)? as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(message))
}

fn main() -> io::Result<()> {
    let mut input = io::BufReader::new(io::stdin().lock());
    let mut output = io::BufWriter::new(io::stdout().lock());
    while let Some(message) = read_message(&mut input)? {
        let reply = answer(message);
        output.write_all(&(reply.len() as u32).to_be_bytes())?;
        output.write_all(&reply)?;
        output.flush()?; // or the host waits forever
    }
    Ok(())
}
