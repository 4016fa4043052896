interface Message {
  source: u32;
  length: u32;
}
export function isLong(message: ptr<Message>): boolean {
  return message.length > 1024;
}
