// The two IPC channels between the page's preload and the main process. JSON text up (bounded before it is read), objects down.

export const FROM_PAGE = 'postern:from-page'
export const TO_PAGE = 'postern:to-page'
