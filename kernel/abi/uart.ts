/** 16550A serial port. Source: National Semiconductor PC16550D data sheet, table II. */
export const UART_PORT: u16 = 0x3f8;
export const UART_GSI: u32 = 4;
// biome-ignore format: a table
export const enum Uart { DATA = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCRATCH = 7 }
// biome-ignore format: a table
export const enum UartIer { RECEIVED = 0x1, TRANSMIT_EMPTY = 0x2, LINE_STATUS = 0x4, MODEM_STATUS = 0x8 }
// biome-ignore format: a table
export const enum UartIir { NONE = 0x1, MODEM_STATUS = 0x0, TRANSMIT_EMPTY = 0x2, RECEIVED = 0x4, LINE_STATUS = 0x6, TIMEOUT = 0xc, FIFO = 0xc0 }
// biome-ignore format: a table
export const enum UartFcr { ENABLE = 0x1, CLEAR_RECEIVE = 0x2, CLEAR_TRANSMIT = 0x4 }
// biome-ignore format: a table
export const enum UartLcr { WORD_8 = 0x3, DLAB = 0x80 }
// biome-ignore format: a table
export const enum UartMcr { DTR = 0x1, RTS = 0x2, OUT2 = 0x8, LOOP = 0x10 }
// biome-ignore format: a table
export const enum UartLsr { DATA_READY = 0x1, OVERRUN = 0x2, TRANSMIT_HOLDING_EMPTY = 0x20, TRANSMIT_EMPTY = 0x40 }
